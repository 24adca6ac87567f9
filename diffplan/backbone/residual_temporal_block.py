from einops.layers.torch import Rearrange
from jaxtyping import Float
from torch import Tensor, nn

from diffplan.backbone.convolution_block import ConvolutionBlock
from diffplan.shapes import Embedding


class ResidualTemporalBlock(nn.Module):
    """Two convolution blocks with the timestep added between them, and a residual path.

    Args:
        in_channels: Features in.
        out_channels: Features out.
        embedding_dim: Width of the timestep embedding.
        kernel_size: Convolution width in plan rows.

    Reference: Diffuser, figure A1.
    """

    def __init__(self, in_channels: int, out_channels: int, embedding_dim: int, kernel_size: int = 5) -> None:
        super().__init__()
        self.first = ConvolutionBlock(in_channels, out_channels, kernel_size)
        self.second = ConvolutionBlock(out_channels, out_channels, kernel_size)
        self.time = nn.Sequential(nn.Mish(), nn.Linear(embedding_dim, out_channels), Rearrange("b c -> b c 1"))
        self.residual = nn.Conv1d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()

    def forward(
        self, features: Float[Tensor, "batch in_channels horizon"], embedding: Embedding
    ) -> Float[Tensor, "batch out_channels horizon"]:
        """Keeps batch and length."""
        return self.second(self.first(features) + self.time(embedding)) + self.residual(features)
