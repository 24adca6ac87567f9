"""Results of one task and protocol, cell by cell."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from diffplan.errors import ResultError
from diffplan.report.statistics.pooled_scores import PooledScores
from diffplan.report.stored_result import StoredResult
from diffplan.report.table.ablation import Ablation, AblationCell, Value, value_text
from diffplan.report.table.varied_settings import VariedSetting, varied_settings

_TITLES = {"single_task": "Single task", "multi2d": "Multi2D"}
_MOST_SETTINGS = 2


@dataclass(frozen=True)
class DashboardCell:
    """Runs that differ in their training seed alone.

    Attributes:
        number: Counted from 1; the page names the cell and its colour by it.
        label: What was set, in words.
        found: Its values, scores and cost.
    """

    number: int
    label: str
    found: AblationCell


@dataclass(frozen=True)
class DashboardBoard:
    """What one task and protocol has to show.

    Attributes:
        task: D4RL id.
        protocol: ``single_task`` or ``multi2d``.
        settings: Names of what varies between the cells.
        also: What changes together with each of them.
        cells: In the order of their values.
        problems: Cells that cannot be averaged, and why.
        not_compared: Why cells are not compared with a baseline; empty where they are.
        paper: The paper's mean on D4RL's data, where the config has it.
    """

    task: str
    protocol: str
    settings: Sequence[str]
    also: Sequence[Sequence[str]]
    cells: list[DashboardCell]
    problems: list[tuple[str, str]]
    not_compared: str
    paper: float | None

    @property
    def title(self) -> str:
        """Task and protocol for people."""
        return f"{self.task}, {_TITLES.get(self.protocol, self.protocol)}"

    @property
    def has_baseline(self) -> bool:
        """Whether cells are compared with one of them."""
        return any(cell.found.is_baseline for cell in self.cells)


def read_boards(
    results: Sequence[StoredResult],
    allow: Collection[str] = (),
    baseline: str | None = None,
    defaults: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[DashboardBoard]:
    """Sorts results into boards and cells, tasks in the order of their names.

    Args:
        results: Of any tasks and settings.
        allow: What may differ between the results of one cell nevertheless, see ``check_comparable``.
        baseline: Value to compare with, see ``Ablation.of``.
        defaults: Default settings of each task.
    """
    places = sorted({(stored.result.task, protocol) for stored in results for protocol in stored.result.protocols})
    places.sort(key=lambda place: (place[0], place[1] != "single_task"))
    boards = []
    for task, protocol in places:
        members = [stored for stored in results if stored.result.task == task and protocol in stored.result.protocols]
        boards.append(_board(members, protocol, allow, baseline, (defaults or {}).get(task)))
    return boards


def _board(
    members: Sequence[StoredResult],
    protocol: str,
    allow: Collection[str],
    baseline: str | None,
    defaults: Mapping[str, Any] | None,
) -> DashboardBoard:
    typed = {word.partition("=")[0] for stored in members for word in stored.ablation.split(",")}
    varied = varied_settings([stored.settings for stored in members], typed)
    name, names = members[0].result.name, [setting.name for setting in varied]
    problems: list[tuple[str, str]] = []
    not_compared = "" if varied else "nothing varies"
    if len(varied) > _MOST_SETTINGS:
        not_compared = f"{len(varied)} settings vary"
    found: Sequence[AblationCell] = []
    if not not_compared:
        try:
            found = Ablation.of(members, protocol, "score", allow, baseline, defaults).cells
        except ResultError as error:
            not_compared = str(error)
    if not_compared:
        found, problems = _cells(members, varied, protocol, allow)
    return DashboardBoard(
        task=members[0].result.task,
        protocol=protocol,
        settings=names,
        also=[setting.also for setting in varied],
        cells=[DashboardCell(n, _label(names, cell.values) or name, cell) for n, cell in enumerate(found, start=1)],
        problems=problems,
        not_compared=not_compared if varied else "",
        paper=_paper(members[0], protocol),
    )


def _cells(
    members: Sequence[StoredResult], varied: Sequence[VariedSetting], protocol: str, allow: Collection[str]
) -> tuple[list[AblationCell], list[tuple[str, str]]]:
    """Every cell by itself: one that cannot be averaged does not hide the others."""
    groups: dict[tuple[Value, ...], list[StoredResult]] = {}
    for number, stored in enumerate(members):
        groups.setdefault(tuple(setting.values[number] for setting in varied), []).append(stored)
    cells, problems = [], []
    for values in sorted(groups, key=lambda values: [_order(value) for value in values]):
        try:
            pool = PooledScores.of(groups[values], protocol, "score", allow)
            cells.append(AblationCell(values, False, pool.statistics, None, None, pool))
        except ResultError as error:
            problems.append((_label([setting.name for setting in varied], values) or "all runs", str(error)))
    return cells, problems


def _label(names: Sequence[str], values: Sequence[Value]) -> str:
    return ", ".join(f"{name}={value_text(value)}" for name, value in zip(names, values, strict=True))


def _order(value: Value) -> tuple[int, float, str]:
    """No value first, then numbers by size, then words."""
    if value is None:
        return (0, 0.0, "")
    return (2, 0.0, value) if isinstance(value, str) else (1, float(value), "")


def _paper(stored: StoredResult, protocol: str) -> float | None:
    task = stored.result.config.get("task")
    scores = task.get("paper_scores") if isinstance(task, dict) else None
    entry = scores.get(protocol) if isinstance(scores, dict) else None
    first = entry[0] if isinstance(entry, list) and entry else entry
    return float(first) if isinstance(first, (int, float)) else None
