"""What ``diffplan-data inspect`` shows of a file's numbers."""

from collections.abc import Iterable

import numpy as np
from rich.table import Table

from diffplan.source.base import Episode
from diffplan.source.catalog_entry import CatalogEntry
from diffplan.source.d4rl_arrays import D4RLArrays
from diffplan.source.segmentation import segment_by_flags, segment_by_goal_departure
from diffplan.source.statistics import column_statistics


def episode_table(arrays: D4RLArrays, entry: CatalogEntry | None) -> Table:
    """Lengths and returns of the episodes, cut in each of the ways that the data set can be cut.

    Args:
        arrays: The whole file.
        entry: The published data set it belongs to; None if there is none.
    """
    table = Table("cut at", "episodes", "terminated", "shortest", "mean", "longest", box=None, pad_edge=False)
    for column in ("return mean", "std", "best"):
        table.add_column(column)
    _add_episodes(table, "flags", segment_by_flags(arrays))
    if entry is not None and entry.target is not None:
        _add_episodes(table, "departures", segment_by_goal_departure(arrays, entry.target))
    return table


def statistics_table(arrays: D4RLArrays, entry: CatalogEntry | None) -> Table:
    """Statistics of every column, the published ones beside them.

    Args:
        arrays: The whole file.
        entry: The published data set it belongs to; None if there is none.
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


def _add_episodes(table: Table, label: str, episodes: Iterable[Episode]) -> None:
    facts = [(len(episode), float(episode.rewards.sum()), episode.terminated) for episode in episodes]
    lengths = np.array([fact[0] for fact in facts])
    returns = np.array([fact[1] for fact in facts])
    table.add_row(
        label,
        f"{len(facts):,}",
        f"{sum(fact[2] for fact in facts):,}",
        f"{lengths.min():,}",
        f"{lengths.mean():,.1f}",
        f"{lengths.max():,}",
        *(f"{value:,.1f}" for value in (returns.mean(), returns.std(), returns.max())),
    )
