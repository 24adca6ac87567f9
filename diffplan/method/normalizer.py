"""Maps raw units to the units that a network sees, column by column."""

from abc import ABC, abstractmethod

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

ALL_COLUMNS = slice(None)


class AbstractNormalizer(nn.Module, ABC):
    """An affine map for each column of a plan row. The statistics are buffers, so checkpoints hold them.

    Args:
        transition_dim: Columns of a plan row.
    """

    offset: Tensor
    scale: Tensor

    def __init__(self, transition_dim: int) -> None:
        super().__init__()
        self.register_buffer("offset", torch.zeros(transition_dim))
        self.register_buffer("scale", torch.ones(transition_dim))

    @abstractmethod
    def fit(self, transitions: Float32[np.ndarray, "rows transition"]) -> None:
        """Computes the statistics of raw rows without padding. A constant column keeps its unit."""

    def normalize(
        self, values: Float[Tensor, "*rows columns"], columns: slice = ALL_COLUMNS
    ) -> Float[Tensor, "*rows columns"]:
        """Maps raw to normalised units; ``columns`` says which columns of a transition ``values`` holds."""
        return (values - self.offset[columns]) / self.scale[columns]

    def unnormalize(
        self, values: Float[Tensor, "*rows columns"], columns: slice = ALL_COLUMNS
    ) -> Float[Tensor, "*rows columns"]:
        """Maps normalised to raw units."""
        return values * self.scale[columns] + self.offset[columns]

    def set_statistics(self, offset: Float[np.ndarray, " columns"], scale: Float[np.ndarray, " columns"]) -> None:
        """Stores an offset and a scale; a scale of zero, which a constant column has, becomes one."""
        scale = np.where(scale > 0, scale, 1.0)
        self.offset.copy_(torch.as_tensor(offset))
        self.scale.copy_(torch.as_tensor(scale))


class GaussianNormalizer(AbstractNormalizer):
    """Zero mean and unit (population) deviation per column; the paper's choice for locomotion.

    Reference: Diffuser, released code ``GaussianNormalizer``.
    Differs: a constant column is only centred, where the original divides by zero.
    """

    def fit(self, transitions: Float32[np.ndarray, "rows transition"]) -> None:
        """Computes mean and deviation in double precision."""
        self.set_statistics(transitions.mean(axis=0, dtype=np.float64), transitions.std(axis=0, dtype=np.float64))


class LimitsNormalizer(AbstractNormalizer):
    """Maps each column's range in the data to [-1, 1]; the paper's choice for Maze2D.

    Reference: Diffuser, released code ``LimitsNormalizer``.
    Differs: each value is clipped to the data's range on the way back, where the original clips all or nothing; a
        constant column is only centred, where the original divides by zero.
    """

    def fit(self, transitions: Float32[np.ndarray, "rows transition"]) -> None:
        """Finds each column's minimum and maximum."""
        low = transitions.min(axis=0).astype(np.float64)
        high = transitions.max(axis=0).astype(np.float64)
        self.set_statistics((high + low) / 2, (high - low) / 2)

    def unnormalize(
        self, values: Float[Tensor, "*rows columns"], columns: slice = ALL_COLUMNS
    ) -> Float[Tensor, "*rows columns"]:
        """Maps normalised to raw units, never outside the data's range."""
        return super().unnormalize(torch.clamp(values, -1.0, 1.0), columns)
