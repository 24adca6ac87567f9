"""Resampling of training seeds, and of the episodes of each."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

_COVERAGE = 0.95


def resample_counts(
    sizes: Sequence[int], num_resamples: int, rng: np.random.Generator, resample_groups: bool
) -> Int[np.ndarray, "resample value"]:
    """Draws groups with replacement, then from each drawn group as many values as it has, with replacement.

    Args:
        sizes: How many values each group has.
        num_resamples: Draws.
        rng: Randomness.
        resample_groups: False takes every group once and draws only inside of them.

    Returns:
        How often each value is drawn; the values of the first group come first.
    """
    group_sizes, total = np.array(sizes), sum(sizes)
    starts = np.cumsum(group_sizes) - group_sizes
    chosen = draw_groups(len(sizes), num_resamples, rng, resample_groups)
    limits = group_sizes[chosen][..., None]
    picked = (rng.random((*chosen.shape, group_sizes.max())) * limits).astype(np.int64)
    picked += starts[chosen][..., None]
    if len(set(sizes)) > 1:
        # What a smaller group has no value for is counted behind the last value.
        picked = np.where(np.arange(group_sizes.max()) < limits, picked, total)
    picked += np.arange(num_resamples)[:, None, None] * (total + 1)
    counts = np.bincount(picked.ravel(), minlength=num_resamples * (total + 1))
    return counts.reshape(num_resamples, total + 1)[:, :total]


def draw_groups(
    num_groups: int, num_resamples: int, rng: np.random.Generator, resample_groups: bool
) -> Int[np.ndarray, "resample group"]:
    """Draws group numbers, or takes every group once."""
    if not resample_groups:
        return np.tile(np.arange(num_groups), (num_resamples, 1))
    return rng.integers(num_groups, size=(num_resamples, num_groups))


def percentile_interval(estimates: Float[np.ndarray, " resample"]) -> tuple[float, float]:
    """The middle 95 % of resampled estimates."""
    low, high = np.quantile(estimates, [(1 - _COVERAGE) / 2, (1 + _COVERAGE) / 2])
    return float(low), float(high)
