"""Everything a dashboard shows about a sweep, a group or a project."""

import os
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from diffplan.errors import ResultError
from diffplan.report.ablation import Ablation
from diffplan.report.comparability import describe_changes
from diffplan.report.results import FoundResults, RunSelection, StoredResult, stored_results
from diffplan.report.run_record import CONFIG_FILE, RunRecord, read_settings
from diffplan.run.result import Result

_CELLS_DIFFER = ("data", "environment", "versions")
_HYDRA_DIR = ".hydra"
_NOT_SEARCHED = {"wandb", _HYDRA_DIR, "checkpoints", "media", "tables", "evaluation"}
_RESULT_FILE = "results.json"
_KEYS = ("task", "name", "ablation", "sweep", "seed")


@dataclass(frozen=True)
class UnfinishedRun:
    """A run folder without a final result.

    Attributes:
        run_dir: The folder.
        label: What the run was to try.
        state: Why it has no result, as far as the folder tells.
    """

    run_dir: Path
    label: str
    state: str


@dataclass(frozen=True)
class SweepContent:
    """What was found about a sweep, a group or a project.

    Attributes:
        selection: Which runs were asked for.
        table: Their results, a row an episode, see ``episode_table``.
        boards: The same by task and protocol, compared cell by cell.
        skipped: Files that hold no readable result, and why.
        unfinished: Runs without a result.
    """

    selection: RunSelection
    table: pd.DataFrame
    boards: list[Ablation]
    skipped: list[tuple[str, str]]
    unfinished: list[UnfinishedRun]

    @classmethod
    def of(
        cls,
        found: FoundResults,
        selection: RunSelection,
        unfinished: Sequence[UnfinishedRun] = (),
        allow: Collection[str] = (),
        baseline: str | None = None,
        defaults: Callable[[str], Mapping[str, Any]] = lambda task: {},
    ) -> "SweepContent":
        """Sorts what was read.

        Args:
            found: Results, and what could not be read.
            selection: Which of them count.
            unfinished: Runs without a result.
            allow: What may differ between the results of one cell nevertheless, see ``check_comparable``.
            baseline: Value to compare with, see ``Ablation.of``.
            defaults: Returns the default settings of a task.

        Raises:
            ResultError: There is no such run.
        """
        table = found.table(selection)
        if table.empty and not unfinished:
            raise ResultError(f"no run was found for {selection.text}{_known(found.results)}")
        groups = sorted(
            table.groupby(["task", "protocol"]), key=lambda group: (group[0][0], group[0][1] != "single_task")
        )
        boards = [Ablation.overview(rows, allow, baseline, defaults(task)) for (task, _), rows in groups]
        return cls(selection, table, boards, found.skipped, list(unfinished))

    @property
    def results(self) -> list[StoredResult]:
        """The results, each once."""
        return stored_results(self.table)

    @property
    def data_texts(self) -> list[str]:
        """The training data of each task, with a warning if it is not D4RL's own."""
        texts = []
        for data in (stored.result.data for stored in self.results):
            known = "D4RL data" if data["kind"] == "d4rl" else f"{data['kind']} data: not a D4RL result"
            texts.append(f"{data['name']}, {int(data['num_transitions']):,} transitions of {known}")
        return list(dict.fromkeys(texts))

    @property
    def is_d4rl(self) -> bool:
        """Whether every result was trained on D4RL's own data."""
        return bool((self.table["data"] == "d4rl").all())

    @property
    def differences(self) -> list[str]:
        """How runs differ beside their settings, so that nobody compares them unaware."""
        texts = []
        first_of_task: dict[str, Result] = {}
        for result in (stored.result for stored in self.results):
            first = first_of_task.setdefault(result.task, result)
            for aspect in _CELLS_DIFFER:
                if change := describe_changes(getattr(first, aspect), getattr(result, aspect)):
                    texts.append(f"Runs of {first.task} differ in {aspect}: {change}.")
        return list(dict.fromkeys(texts))

    @property
    def versions(self) -> list[str]:
        """Code and libraries, one text for each combination in use."""
        texts = [
            ", ".join(f"{name} {version}" for name, version in stored.result.versions.items() if version)
            for stored in self.results
        ]
        return list(dict.fromkeys(texts))

    def commands(self) -> list[str]:
        """Returns the commands that made the runs, as their folders have them."""
        lines = []
        for stored in self.results:
            events = RunRecord.read(Path(stored.source).parent).events
            words = [e["command"] for e in events if isinstance(e.get("command"), list) and e["command"]]
            if words:
                name, *rest = map(str, words[-1])
                lines.append(shlex.join([Path(name).name, *rest]))
        return list(dict.fromkeys(lines))


def unfinished_runs(
    folder: Path, selection: RunSelection, failure: Callable[[Path], str | None]
) -> list[UnfinishedRun]:
    """Finds the runs below a folder that belong to a selection and have not finished.

    Args:
        folder: Folder to search.
        selection: Which runs count.
        failure: Says why the run of a folder failed, or returns None.
    """
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _NOT_SEARCHED)
        run_dir = Path(place)
        if _RESULT_FILE in names or not (CONFIG_FILE in names or (run_dir / _HYDRA_DIR).is_dir()):
            continue
        facts = _facts(run_dir)
        if selection.admits_run(facts):
            found.append(UnfinishedRun(run_dir, _label(facts), failure(run_dir) or _state(run_dir)))
    return found


def _known(results: Sequence[StoredResult]) -> str:
    """What could have been asked for instead."""
    if not results:
        return "; no result lies there at all."
    sweeps = ", ".join(sorted({stored.result.sweep for stored in results if stored.result.sweep})[:8])
    names = ", ".join(sorted({stored.result.name for stored in results})[:8])
    return f"; there are {f'the sweeps {sweeps} and ' if sweeps else ''}the names {names}."


def _facts(run_dir: Path) -> dict[str, Any]:
    """What the run was to be: from its resolved config, else from the words that it was started with."""
    config = read_settings(run_dir / CONFIG_FILE)
    own: dict[str, Any] = {}
    if not isinstance(config, Mapping):
        config, words = (read_settings(run_dir / _HYDRA_DIR / f"{name}.yaml") for name in ("config", "overrides"))
        own["ablation"] = ",".join(map(str, words)) if isinstance(words, list) else ""
    facts = {key: config.get(key) if isinstance(config, Mapping) else None for key in _KEYS} | own
    task = facts["task"]
    return facts | {"task": task.get("name") if isinstance(task, Mapping) else task}


def _label(facts: Mapping[str, Any]) -> str:
    named = [str(facts[key]) for key in ("task", "name", "ablation") if facts.get(key)]
    seed = [] if facts.get("seed") is None else [f"seed {facts['seed']}"]
    return ", ".join(named + seed) or "a run that says nothing of itself"


def _state(run_dir: Path) -> str:
    record = RunRecord.read(run_dir)
    last = record.events[-1] if record.events else {}
    if last.get("event") == "finish":
        return f"ended without a result: {last.get('status')}"
    return f"running or interrupted, at step {record.last_step:,}" if record.events else "not begun"
