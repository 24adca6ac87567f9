import numpy as np
from jaxtyping import Float32

from diffplan.normalizer.base import AbstractNormalizer


class GaussianNormalizer(AbstractNormalizer):
    """Zero mean and unit (population) deviation per column; the paper's choice for locomotion.

    Reference: Diffuser, released code ``GaussianNormalizer``.
    Differs: a constant column is only centred, where the original divides by zero.
    """

    def fit(self, transitions: Float32[np.ndarray, "rows transition"]) -> None:
        """Takes mean and deviation, summed in double precision."""
        self.set_statistics(transitions.mean(axis=0, dtype=np.float64), transitions.std(axis=0, dtype=np.float64))
