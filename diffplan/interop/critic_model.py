from collections.abc import Sequence

from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.unets.unet_1d import UNet1DOutput
from einops import rearrange

from diffplan.method.network.value_unet import ValueUnet
from diffplan.method.shapes import Features, Timesteps


class CriticModel(ModelMixin, ConfigMixin):
    """A critic that diffusers' ``UNet1DModel`` cannot express, with the same way of saving and calling.

    Args:
        transition_dim: Columns of a plan row.
        horizon: Plan rows.
        dim: Base width.
        dim_multipliers: Width of each level in units of ``dim``.
        kernel_size: Width of the residual convolutions in plan rows.
    """

    @register_to_config
    def __init__(
        self, transition_dim: int, horizon: int, dim: int, dim_multipliers: Sequence[int], kernel_size: int
    ) -> None:
        super().__init__()
        self.network = ValueUnet(transition_dim, horizon, dim, dim_multipliers, kernel_size)

    def forward(self, sample: Features, timestep: Timesteps, return_dict: bool = True) -> UNet1DOutput | tuple:
        """Predicts one value a trajectory, given with columns before rows as diffusers has them."""
        values = self.network(rearrange(sample, "batch column row -> batch row column"), timestep)
        values = rearrange(values, "batch -> batch 1")
        return UNet1DOutput(sample=values) if return_dict else (values,)
