from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from einops import rearrange
from torch import nn

from diffplan.config.task import check_halvings, check_widths
from diffplan.method.network.base import AbstractBackbone
from diffplan.method.network.blocks import ConvolutionBlock, ResidualTemporalBlock, TemporalAttention, TimeEmbedding
from diffplan.method.shapes import Embedding, Features, Timesteps, Trajectories


class TemporalUnet(AbstractBackbone):
    """Diffuser's denoiser: a U-Net of residual convolutions over the rows of a plan.

    A convolutional network takes any horizon divisible by ``2 ** (levels - 1)``, so the horizon of planning may differ
    from that of training.

    Args:
        transition_dim: Columns of a plan row.
        dim: Base width; also the width of the timestep embedding. Divisible by 8.
        dim_multipliers: Width of each level in units of ``dim``. The first must be 1: the head reads ``dim`` channels.
        attention: Adds linear attention after each level's residual blocks (the paper's HalfCheetah models).
        kernel_size: Width of the residual convolutions in plan rows.

    Raises:
        ConfigError: for widths the architecture does not allow.

    Reference: Diffuser, section 3.2 and appendix C; released code ``TemporalUnet``.
    """

    def __init__(
        self,
        transition_dim: int,
        dim: int = 32,
        dim_multipliers: Sequence[int] = (1, 2, 4, 8),
        attention: bool = False,
        kernel_size: int = 5,
    ) -> None:
        super().__init__()
        check_widths(dim, dim_multipliers)
        self.transition_dim = transition_dim
        widths = [transition_dim, *(dim * multiplier for multiplier in dim_multipliers)]
        levels = list(pairwise(widths))
        self.num_halvings = len(levels) - 1

        self.time_embedding = TimeEmbedding(dim)
        self.downs = nn.ModuleList(
            _Level(narrow, wide, dim, kernel_size, attention, nn.Conv1d(wide, wide, 3, stride=2, padding=1))
            for narrow, wide in levels[:-1]
        )
        self.bottom = _Level(*levels[-1], dim, kernel_size, attention, nn.Identity())
        self.middle_first = ResidualTemporalBlock(widths[-1], widths[-1], dim, kernel_size)
        self.middle_attention = TemporalAttention(widths[-1]) if attention else nn.Identity()
        self.middle_second = ResidualTemporalBlock(widths[-1], widths[-1], dim, kernel_size)
        # As in the released code, the skip of the first level is not used: there is one skip more than up levels.
        self.ups = nn.ModuleList(
            _Level(
                2 * wide,
                narrow,
                dim,
                kernel_size,
                attention,
                nn.ConvTranspose1d(narrow, narrow, 4, stride=2, padding=1),
            )
            for narrow, wide in reversed(levels[1:])
        )
        self.head = nn.Sequential(ConvolutionBlock(dim, dim, kernel_size), nn.Conv1d(dim, transition_dim, 1))

    def forward(self, trajectories: Trajectories, timesteps: Timesteps) -> Trajectories:
        embedding = self.time_embedding(timesteps)
        features = rearrange(trajectories, "batch row column -> batch column row")
        skips = []
        for level in self._levels(self.downs):
            features = level.blocks(features, embedding)
            skips.append(features)
            features = level.resample(features)
        features = self.bottom.blocks(features, embedding)
        skips.append(features)
        features = self.middle_attention(self.middle_first(features, embedding))
        features = self.middle_second(features, embedding)
        for level in self._levels(self.ups):
            features = level.blocks(torch.cat([features, skips.pop()], dim=1), embedding)
            features = level.resample(features)
        return rearrange(self.head(features), "batch column row -> batch row column")

    @staticmethod
    def _levels(levels: nn.ModuleList) -> Iterator["_Level"]:
        return (level for level in levels if isinstance(level, _Level))

    def check_horizon(self, horizon: int) -> None:
        check_halvings(horizon, self.num_halvings)


class _Level(nn.Module):
    """Two residual blocks, optional attention, and the change of resolution that follows them."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        embedding_dim: int,
        kernel_size: int,
        attention: bool,
        resample: nn.Module,
    ) -> None:
        super().__init__()
        self.first = ResidualTemporalBlock(in_channels, out_channels, embedding_dim, kernel_size)
        self.second = ResidualTemporalBlock(out_channels, out_channels, embedding_dim, kernel_size)
        self.attention = TemporalAttention(out_channels) if attention else nn.Identity()
        self.resample = resample

    def blocks(self, features: torch.Tensor, embedding: Embedding) -> Features:
        """Applies the layers that keep this level's resolution."""
        return self.attention(self.second(self.first(features, embedding), embedding))
