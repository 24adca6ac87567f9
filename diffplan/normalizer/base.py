"""How raw units become the units a network sees, column by column."""

from abc import ABC, abstractmethod

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

ALL_COLUMNS = slice(None)


class AbstractNormalizer(nn.Module, ABC):
    """An affine map per transition column; its statistics are buffers, so checkpoints carry them.

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
        """Takes the statistics from valid (unpadded) raw rows. A constant column keeps its unit."""

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
