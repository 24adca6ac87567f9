from collections.abc import Sequence
from itertools import pairwise

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from diffplan.config.task import check_value_widths
from diffplan.errors import ConfigError, HorizonError
from diffplan.method.network.blocks import ResidualTemporalBlock, TimeEmbedding
from diffplan.method.shapes import Timesteps, Trajectories


class ValueUnet(nn.Module):
    """Diffuser's critic: the down path of the U-Net, then a two-layer head on the rows that are left.

    Every level halves the number of rows. The size of the head depends on the horizon, so a critic has one horizon.

    Args:
        transition_dim: Columns of a plan row.
        horizon: Plan rows.
        dim: Base width; also the width of the timestep embedding. Divisible by 8.
        dim_multipliers: Width of each level in units of ``dim``. The last width must be divisible by 64, so that the
            last block still has two channels in each normalisation group.
        kernel_size: Width of the residual convolutions in plan rows.

    Raises:
        ConfigError: for widths the architecture does not allow.

    Reference: Diffuser, appendix C; released code ``ValueFunction``.
    """

    def __init__(
        self,
        transition_dim: int,
        horizon: int,
        dim: int = 32,
        dim_multipliers: Sequence[int] = (1, 2, 4, 8),
        kernel_size: int = 5,
    ) -> None:
        super().__init__()
        check_value_widths(dim, dim_multipliers)
        widths = [transition_dim, *(dim * multiplier for multiplier in dim_multipliers)]
        if horizon < 1:
            raise ConfigError(f"critic.backbone.horizon must be at least 1, got {horizon}.")
        self.transition_dim = transition_dim
        self.horizon = horizon

        self.time_embedding = TimeEmbedding(dim)
        self.levels = nn.ModuleList(_Level(narrow, wide, dim, kernel_size) for narrow, wide in pairwise(widths))
        last = widths[-1]
        self.middle_first = ResidualTemporalBlock(last, last // 2, dim, kernel_size)
        self.middle_first_down = _halving(last // 2)
        self.middle_second = ResidualTemporalBlock(last // 2, last // 4, dim, kernel_size)
        self.middle_second_down = _halving(last // 4)
        features = last // 4 * _rows_left(horizon, len(dim_multipliers) + 2)
        self.head = nn.Sequential(nn.Linear(features + dim, features // 2), nn.Mish(), nn.Linear(features // 2, 1))

    def forward(self, trajectories: Trajectories, timesteps: Timesteps) -> Float[Tensor, " batch"]:
        """Predicts the return-to-go of the first row, one number per trajectory.

        Args:
            trajectories: Noisy normalised trajectories of the network's horizon.
            timesteps: Diffusion timesteps, one per trajectory, or a single one for the whole batch.
        """
        embedding = self.time_embedding(timesteps)
        features = rearrange(trajectories, "batch row column -> batch column row")
        for level in self.levels:
            features = level(features, embedding)
        features = self.middle_first_down(self.middle_first(features, embedding))
        features = self.middle_second_down(self.middle_second(features, embedding))
        flat = rearrange(features, "batch channel row -> batch (channel row)")
        head_input = torch.cat([flat, embedding.expand(len(flat), -1)], dim=1)
        return rearrange(self.head(head_input), "batch 1 -> batch")

    def check_horizon(self, horizon: int) -> None:
        """Refuses every horizon but the one the network was built for.

        Raises:
            HorizonError: naming both.
        """
        if horizon != self.horizon:
            raise HorizonError(f"the critic judges plans of {self.horizon} rows only, got horizon={horizon}.")


class _Level(nn.Module):
    """Two residual blocks, then a convolution that halves the rows."""

    def __init__(self, in_channels: int, out_channels: int, embedding_dim: int, kernel_size: int) -> None:
        super().__init__()
        self.first = ResidualTemporalBlock(in_channels, out_channels, embedding_dim, kernel_size)
        self.second = ResidualTemporalBlock(out_channels, out_channels, embedding_dim, kernel_size)
        self.down = _halving(out_channels)

    def forward(
        self, features: Float[Tensor, "batch in_channels horizon"], embedding: Float[Tensor, "#batch embedding"]
    ) -> Float[Tensor, "batch out_channels half_horizon"]:
        return self.down(self.second(self.first(features, embedding), embedding))


def _halving(channels: int) -> nn.Conv1d:
    return nn.Conv1d(channels, channels, 3, stride=2, padding=1)


def _rows_left(horizon: int, num_halvings: int) -> int:
    """Returns the rows after some convolutions of stride 2 with padding; each rounds up."""
    for _ in range(num_halvings):
        horizon = (horizon + 1) // 2
    return horizon
