import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from diffplan.normalizer.base import ALL_COLUMNS, AbstractNormalizer


class LimitsNormalizer(AbstractNormalizer):
    """Maps each column's range in the data to [-1, 1]; the paper's choice for Maze2D.

    Reference: Diffuser, released code ``LimitsNormalizer``.
    Differs: each value is clipped to the data's range on the way back, where the original clips all or nothing; a
        constant column is only centred, where the original divides by zero.
    """

    def fit(self, transitions: Float32[np.ndarray, "rows transition"]) -> None:
        """Takes each column's minimum and maximum."""
        low = transitions.min(axis=0).astype(np.float64)
        high = transitions.max(axis=0).astype(np.float64)
        self.set_statistics((high + low) / 2, (high - low) / 2)

    def unnormalize(
        self, values: Float[Tensor, "*rows columns"], columns: slice = ALL_COLUMNS
    ) -> Float[Tensor, "*rows columns"]:
        """Maps normalised to raw units, never outside the data's range."""
        return super().unnormalize(torch.clamp(values, -1.0, 1.0), columns)
