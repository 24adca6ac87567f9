"""Everything a dashboard shows, gathered from a folder of results."""

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffplan.errors import ResultError
from diffplan.report.comparability import describe_changes
from diffplan.report.dashboard.dashboard_board import DashboardBoard, read_boards
from diffplan.report.dashboard.dashboard_selection import DashboardSelection
from diffplan.report.dashboard.dashboard_unfinished import UnfinishedRun
from diffplan.report.result_folder import ResultFolder
from diffplan.report.run_record import RunRecord
from diffplan.report.stored_result import StoredResult

_CELLS_DIFFER = ("data", "environment", "versions")


@dataclass(frozen=True)
class DashboardContent:
    """What was found about a sweep, a group or a project.

    Attributes:
        selection: Which runs were asked for.
        results: Those that have finished.
        boards: The same by task and protocol.
        skipped: Files that are no result that can be read, and why.
        unfinished: Runs without a result.
    """

    selection: DashboardSelection
    results: list[StoredResult]
    boards: list[DashboardBoard]
    skipped: list[tuple[str, str]]
    unfinished: list[UnfinishedRun]

    @classmethod
    def of(
        cls,
        found: ResultFolder,
        selection: DashboardSelection,
        unfinished: Sequence[UnfinishedRun] = (),
        allow: Collection[str] = (),
        baseline: str | None = None,
        defaults: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> "DashboardContent":
        """Sorts what was read.

        Args:
            found: Results, and what could not be read.
            selection: Which of them count.
            unfinished: Runs without a result.
            allow: What may differ between the results of one cell nevertheless, see ``check_comparable``.
            baseline: Value to compare with, see ``Ablation.of``.
            defaults: Default settings of each task.

        Raises:
            ResultError: there is no such run.
        """
        results = [stored for stored in found.results if selection.admits(stored)]
        if not results and not unfinished:
            raise ResultError(f"there is no run of {selection.text}{_known(found.results)}")
        boards = read_boards(results, allow, baseline, defaults)
        return cls(selection, results, boards, found.skipped, list(unfinished))

    @property
    def data_texts(self) -> list[str]:
        """The training data of each task, with a warning where it is not D4RL's own."""
        texts: dict[str, None] = {}
        for stored in self.results:
            data = stored.result.data
            known = "D4RL data" if data["kind"] == "d4rl" else f"{data['kind']} data: not a D4RL result"
            texts[f"{data['name']}, {int(data['num_transitions']):,} transitions of {known}"] = None
        return list(texts)

    @property
    def is_d4rl(self) -> bool:
        """Whether every result was trained on D4RL's own data."""
        return all(stored.result.data["kind"] == "d4rl" for stored in self.results)

    @property
    def differences(self) -> list[str]:
        """How runs differ beside their settings, so that nobody compares them unaware."""
        texts: dict[str, None] = {}
        for first, other in ((self._first_of(stored), stored) for stored in self.results):
            for aspect in _CELLS_DIFFER:
                change = describe_changes(getattr(first.result, aspect), getattr(other.result, aspect))
                if change:
                    texts[f"Runs of {first.result.task} differ in {aspect}: {change}."] = None
        return list(texts)

    @property
    def versions(self) -> list[str]:
        """Code and libraries, one text for each combination in use."""
        texts = [
            ", ".join(f"{name} {version}" for name, version in stored.result.versions.items() if version)
            for stored in self.results
        ]
        return list(dict.fromkeys(texts))

    def commands(self) -> list[str]:
        """The commands that made the runs, as their folders have them."""
        lines: dict[str, None] = {}
        for stored in self.results:
            events = RunRecord.read(Path(stored.source).parent).events
            words: list[Sequence[str]] = [e["command"] for e in events if isinstance(e.get("command"), list)]
            if words:
                name, *rest = (str(word) for word in words[-1])
                lines[shlex.join([Path(name).name, *rest])] = None
        return list(lines)

    def _first_of(self, stored: StoredResult) -> StoredResult:
        return next(first for first in self.results if first.result.task == stored.result.task)


def _known(results: Sequence[StoredResult]) -> str:
    """What could have been asked for instead."""
    if not results:
        return "; no result lies there at all."
    sweeps = ", ".join(sorted({stored.result.sweep for stored in results if stored.result.sweep})[:8])
    names = ", ".join(sorted({stored.result.name for stored in results})[:8])
    return f"; there are {f'the sweeps {sweeps} and ' if sweeps else ''}the names {names}."
