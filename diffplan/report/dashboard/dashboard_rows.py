"""The tables of a dashboard: one row a cell, one row a run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffplan.report.dashboard.dashboard_board import DashboardBoard, DashboardCell
from diffplan.report.dashboard.dashboard_content import DashboardContent
from diffplan.report.table.ablation import value_text
from diffplan.report.table.sheet import MISSING


@dataclass(frozen=True)
class DashboardRow:
    """One cell of a board in its table.

    Attributes:
        cell: The cell.
        values: Of the varied settings, or the run's name where nothing varies.
        entries: Under each heading a number to sort by, or None, and its text.
    """

    cell: DashboardCell
    values: list[str]
    entries: dict[str, tuple[float | None, str]]


def board_rows(board: DashboardBoard) -> list[DashboardRow]:
    """The table of a board: statistics and cost of each cell, and how it compares with the baseline."""
    return [
        DashboardRow(
            cell, [value_text(value) for value in cell.found.values] or [cell.label], _entries(cell, board.has_baseline)
        )
        for cell in board.cells
    ]


def run_rows(content: DashboardContent, link: Callable[[str], str | None]) -> list[dict[str, Any]]:
    """One row a result and protocol: seed, score, steps, what training cost, where it lies."""
    rows = []
    for stored in content.results:
        result = stored.result
        cost = sum(spent for key, spent in result.cost.items() if key.endswith("cpu_seconds"))
        for protocol, episodes in result.protocols.items():
            rows.append(
                {
                    "run": f"{result.task}/{result.name}/{stored.ablation}",
                    "seed": result.seed,
                    "protocol": protocol,
                    "mean": float(np.mean(episodes.scores)) if episodes.scores else None,
                    "episodes": len(episodes.seeds),
                    "step": result.step,
                    "cost": cost or None,
                    "link": link(stored.source),
                }
            )
    return rows


def _entries(cell: DashboardCell, has_baseline: bool) -> dict[str, tuple[float | None, str]]:
    found, pool = cell.found.statistics, cell.found.pool
    gflop, cpu_seconds = pool.decision_gflop, pool.decision_cpu_seconds
    entries: dict[str, tuple[float | None, str]] = {
        "mean ± s.e.": (found.mean, f"{found.mean:.1f} ± {found.stderr:.1f}"),
        "IQM [95 %]": (found.iqm, _interval(found.iqm, found.iqm_interval)),
        "n": (found.num_episodes, found.count_text),
    }
    if has_baseline:
        change, better = cell.found.difference, cell.found.improvement
        none = (None, "baseline" if cell.found.is_baseline else MISSING)
        entries["difference [95 %]"] = (
            none if change is None else (change.mean, _interval(change.mean, change.mean_interval, "+"))
        )
        entries["P(better) [95 %]"] = (
            none if better is None else (better.probability, _interval(better.probability, better.interval, digits=2))
        )
    entries["GFLOP / decision"] = (gflop, MISSING if gflop is None else f"{gflop:.3g}")
    entries["CPU s / decision"] = (cpu_seconds, f"{cpu_seconds:.2g}")
    return entries


def _interval(middle: float, interval: tuple[float, float], sign: str = "", digits: int = 1) -> str:
    low, high = interval
    return f"{middle:{sign}.{digits}f} [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"
