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
    last = np.cumsum(counts[..., order], axis=-1)
    total = last[..., -1:]
    # Of the copies of a value, those whose rank lies in the middle half.
    middle = np.diff(np.clip(last, total // 4, total - total // 4), axis=-1, prepend=total // 4)
    return np.asarray(middle @ values[order] / middle.sum(axis=-1))
