"""Tables about a whole data set: its episodes and the statistics of its columns."""

import numpy as np
from jaxtyping import Float64
from rich.table import Table

from diffplan.data.catalog import CatalogEntry
from diffplan.data.segmentation import segment_by_flags, segment_by_goal_departure
from diffplan.data.source.base import Transitions
from diffplan.data.source.d4rl_file import D4RLArrays


def column_statistics(arrays: D4RLArrays) -> dict[str, Float64[np.ndarray, " dim"]]:
    """Returns mean, population standard deviation, minimum and maximum of every column, in raw units.

    Args:
        arrays: All rows.

    Returns:
        One array per ``{observation,action,reward}_{mean,std,min,max}``. Rewards have one column.
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


def episode_table(arrays: D4RLArrays, entry: CatalogEntry | None) -> Table:
    """Makes a table of lengths and returns of the episodes, one row per way to cut the data set into episodes.

    Args:
        arrays: The whole file.
        entry: The published data set that it belongs to; None if there is none.
    """
    table = Table("cut at", "episodes", "terminated", "shortest", "mean", "longest", box=None, pad_edge=False)
    for column in ("return mean", "std", "best"):
        table.add_column(column)
    _add_episodes(table, "flags", segment_by_flags(arrays))
    if entry is not None and entry.target is not None:
        _add_episodes(table, "departures", segment_by_goal_departure(arrays, entry.target))
    return table


def statistics_table(arrays: D4RLArrays, entry: CatalogEntry | None) -> Table:
    """Makes a table of the statistics of every column, with the published values in brackets.

    Args:
        arrays: The whole file.
        entry: The published data set that it belongs to; None if there is none.
    """
    statistics = column_statistics(arrays)
    published = entry.statistics if entry is not None else {}
    table = Table("column", "mean", "std", "min", "max", box=None, pad_edge=False)
    if published:
        table.title = "published values in brackets"
    for name in ("observation", "action", "reward"):
        for index in range(len(statistics[f"{name}_mean"])):
            cells = []
            for quantity in ("mean", "std", "min", "max"):
                key = f"{name}_{quantity}"
                cell = f"{statistics[key][index]:.5g}"
                if key in published and index < len(published[key]):
                    cell += f" ({published[key][index]:.5g})"
                cells.append(cell)
            table.add_row(f"{name} {index}", *cells)
    return table


def _add_episodes(table: Table, label: str, transitions: Transitions) -> None:
    lengths = transitions.lengths
    returns = np.array([float(episode.rewards.sum()) for episode in transitions.episodes()])
    table.add_row(
        label,
        f"{len(lengths):,}",
        f"{transitions.terminated.sum():,}",
        f"{lengths.min():,}",
        f"{lengths.mean():,.1f}",
        f"{lengths.max():,}",
        *(f"{value:,.1f}" for value in (returns.mean(), returns.std(), returns.max())),
    )
