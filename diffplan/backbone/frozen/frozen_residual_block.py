import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from diffplan.backbone.frozen.frozen_convolution_block import FrozenConvolutionBlock
from diffplan.backbone.residual_temporal_block import ResidualTemporalBlock
from diffplan.shapes import Embedding


class FrozenResidualBlock(nn.Module):
    """Equals a trained ``ResidualTemporalBlock`` at one length.

    Args:
        block: The trained block.
        length: Rows it will be given.
        batch: Trajectories it will be given at a time, about; changes speed alone.
    """

    def __init__(self, block: ResidualTemporalBlock, length: int, batch: int) -> None:
        super().__init__()
        self.first = FrozenConvolutionBlock(block.first, length, batch)
        self.second = FrozenConvolutionBlock(block.second, length, batch)
        self.time = block.time
        self.residual = block.residual

    def forward(
        self, features: Float[Tensor, "batch in_channels horizon"], embedding: Embedding
    ) -> Float[Tensor, "batch out_channels horizon"]:
        """Keeps batch and length."""
        # One copy here where memory is not in rows first yet, rather than one a convolution.
        rows = rearrange(features, "batch channel row -> row batch channel").contiguous()
        time = rearrange(self.time(embedding), "batch channel 1 -> batch channel")
        result = self.second.rows(self.first.rows(rows) + time)
        if isinstance(self.residual, nn.Conv1d):
            weight = rearrange(self.residual.weight, "out channel 1 -> out channel")
            rows = torch.nn.functional.linear(rows, weight, self.residual.bias)
        return rearrange(result + rows, "row batch channel -> batch channel row")
