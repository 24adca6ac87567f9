from jaxtyping import Float
from torch import Tensor, nn


class ConvolutionBlock(nn.Module):
    """Convolution over time, group normalisation over channels and the whole time axis, Mish.

    Args:
        in_channels: Features in.
        out_channels: Features out, divisible by ``num_groups``.
        kernel_size: Odd; the length is kept.
        num_groups: Groups of the normalisation.

    Reference: Diffuser, figure A1 (``Conv1d -> GN -> Mish``).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 5, num_groups: int = 8) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        self.normalization = nn.GroupNorm(num_groups, out_channels)
        self.activation = nn.Mish()

    def forward(
        self, features: Float[Tensor, "batch in_channels horizon"]
    ) -> Float[Tensor, "batch out_channels horizon"]:
        """Keeps batch and length."""
        return self.activation(self.normalization(self.convolution(features)))
