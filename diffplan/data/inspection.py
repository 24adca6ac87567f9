"""Tables about a whole data set: its episodes and the statistics of its columns."""

import numpy as np
from jaxtyping import Float64
from rich.table import Table

from diffplan.data.catalog import CatalogEntry
from diffplan.data.segmentation import segment_by_flags, segment_by_goal_departure
from diffplan.data.source.d4rl_file import D4RLArrays

_QUANTITIES = ("mean", "std", "min", "max")


def column_statistics(arrays: D4RLArrays) -> dict[str, Float64[np.ndarray, " dim"]]:
    """Returns mean, population standard deviation, minimum and maximum of every column, in raw units.

    Args:
        arrays: All rows.

    Returns:
        One array per ``{observation,action,reward}_{mean,std,min,max}``. Rewards have one column.
    """
    columns = {"observation": arrays.observations, "action": arrays.actions, "reward": arrays.rewards[:, None]}
    return {
        f"{name}_{quantity}": getattr(array.astype(np.float64), quantity)(axis=0)
        for name, array in columns.items()
        for quantity in _QUANTITIES
    }


def episode_table(arrays: D4RLArrays, entry: CatalogEntry | None) -> Table:
    """Makes a table of lengths and returns of the episodes, one row per way to cut the data set into episodes.

    Args:
        arrays: The whole file.
        entry: The published data set that it belongs to; None if there is none.
    """
    headers = ("cut at", "episodes", "terminated", "shortest", "mean", "longest", "return mean", "std", "best")
    table = Table(*headers, box=None, pad_edge=False)
    cuts = {"flags": segment_by_flags(arrays)}
    if entry is not None and entry.target is not None:
        cuts["departures"] = segment_by_goal_departure(arrays, entry.target)
    for label, transitions in cuts.items():
        lengths, terminated = transitions.lengths, transitions.terminated.sum()
        counts = (len(lengths), terminated, lengths.min(), f"{lengths.mean():,.1f}", lengths.max())
        returns = np.array([float(episode.rewards.sum()) for episode in transitions.episodes()])
        cells = [cell if isinstance(cell, str) else f"{cell:,}" for cell in counts]
        table.add_row(label, *cells, *(f"{value:,.1f}" for value in (returns.mean(), returns.std(), returns.max())))
    return table


def statistics_table(arrays: D4RLArrays, entry: CatalogEntry | None) -> Table:
    """Makes a table of the statistics of every column, with the published values in brackets.

    Args:
        arrays: The whole file.
        entry: The published data set that it belongs to; None if there is none.
    """
    statistics = column_statistics(arrays)
    published = entry.statistics if entry is not None else {}
    table = Table("column", *_QUANTITIES, box=None, pad_edge=False)
    if published:
        table.title = "published values in brackets"
    for name in ("observation", "action", "reward"):
        for index in range(len(statistics[f"{name}_mean"])):
            cells = []
            for key in (f"{name}_{quantity}" for quantity in _QUANTITIES):
                known = published.get(key, ())[index : index + 1]
                cells.append(f"{statistics[key][index]:.5g}" + "".join(f" ({value:.5g})" for value in known))
            table.add_row(f"{name} {index}", *cells)
    return table
