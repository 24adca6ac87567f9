"""Statistics of a whole data set, under the names the catalogue uses."""

import numpy as np
from jaxtyping import Float64

from diffplan.source.d4rl_arrays import D4RLArrays


def column_statistics(arrays: D4RLArrays) -> dict[str, Float64[np.ndarray, " dim"]]:
    """Mean, population standard deviation, least and greatest value of every column, in raw units.

    Args:
        arrays: All rows.

    Returns:
        One array per ``{observation,action,reward}_{mean,std,min,max}``, rewards having one column.
    """
    statistics = {}
    columns = (
        ("observation", arrays.observations),
        ("action", arrays.actions),
        ("reward", arrays.rewards[:, None]),
    )
    for name, array in columns:
        statistics[f"{name}_mean"] = array.mean(axis=0, dtype=np.float64)
        statistics[f"{name}_std"] = array.std(axis=0, dtype=np.float64)
        statistics[f"{name}_min"] = array.min(axis=0).astype(np.float64)
        statistics[f"{name}_max"] = array.max(axis=0).astype(np.float64)
    return statistics
