"""The mean of the middle half."""

import numpy as np
from jaxtyping import Float, Int


def interquartile_mean(
    values: Float[np.ndarray, " sample"], counts: Int[np.ndarray, "*batch sample"] | None = None
) -> Float[np.ndarray, "*batch"]:
    """Averages what is left of a sample without its lowest and its highest quarter.

    A quarter of a number that four does not divide is rounded down, as ``scipy.stats.trim_mean`` does.

    Args:
        values: At least one.
        counts: How often each value is there, for each of many samples; once in a single sample if None.
    """
    if counts is None:
        counts = np.ones(len(values), dtype=np.int64)
    order = np.argsort(values)
    ordered = values[order]
    last = np.cumsum(counts[..., order], axis=-1, dtype=np.float64)
    total = last[..., -1]
    low = total // 4
    high = total - low
    # The sum of the values whose rank lies between low and high, summed by parts.
    ranks = np.clip(last[..., :-1], low[..., None], high[..., None])
    middle = high * ordered[-1] - low * ordered[0] - ranks @ np.diff(ordered)
    return np.asarray(middle / (high - low))
