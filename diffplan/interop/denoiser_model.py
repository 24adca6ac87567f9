from collections.abc import Sequence

from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.unets.unet_1d import UNet1DOutput
from einops import rearrange

from diffplan.method.network.temporal_unet import TemporalUnet
from diffplan.method.shapes import Features, Timesteps


class DenoiserModel(ModelMixin, ConfigMixin):
    """A denoiser that diffusers' ``UNet1DModel`` cannot express, with the same way of saving and calling.

    Args:
        transition_dim: Columns of a plan row.
        dim: Base width.
        dim_multipliers: Width of each level in units of ``dim``.
        attention: Adds linear attention after each level's residual blocks.
        kernel_size: Width of the residual convolutions in plan rows.
    """

    @register_to_config
    def __init__(
        self, transition_dim: int, dim: int, dim_multipliers: Sequence[int], attention: bool, kernel_size: int
    ) -> None:
        super().__init__()
        self.network = TemporalUnet(transition_dim, dim, dim_multipliers, attention, kernel_size)

    def forward(self, sample: Features, timestep: Timesteps, return_dict: bool = True) -> UNet1DOutput | tuple:
        """Predicts shape for shape, with columns before rows as diffusers has them."""
        output = self.network(rearrange(sample, "batch column row -> batch row column"), timestep)
        output = rearrange(output, "batch row column -> batch column row")
        return UNet1DOutput(sample=output) if return_dict else (output,)
