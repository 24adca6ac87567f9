from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from diffplan.backbone.convolution_block import ConvolutionBlock
from diffplan.backbone.frozen.frozen_convolution import FrozenConvolution
from diffplan.backbone.frozen.frozen_normalization import FrozenNormalization


class FrozenConvolutionBlock(nn.Module):
    """Equals a trained ``ConvolutionBlock`` at one length.

    Args:
        block: The trained block.
        length: Rows it will be given.
        batch: Trajectories it will be given at a time, about; changes speed alone.
    """

    def __init__(self, block: ConvolutionBlock, length: int, batch: int) -> None:
        super().__init__()
        self.convolution = FrozenConvolution(block.convolution, length, batch)
        assert block.convolution.bias is not None
        self.normalization = FrozenNormalization(block.normalization, block.convolution.bias, length)

    def forward(
        self, features: Float[Tensor, "batch in_channels horizon"]
    ) -> Float[Tensor, "batch out_channels horizon"]:
        """Keeps batch and length."""
        rows = self.rows(rearrange(features, "batch channel row -> row batch channel"))
        return rearrange(rows, "row batch channel -> batch channel row")

    def rows(self, rows: Float[Tensor, "row batch in_channels"]) -> Float[Tensor, "row batch out_channels"]:
        """The same on rows."""
        return self.normalization(self.convolution.rows(rows))
