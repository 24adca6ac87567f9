"""Runs of a sweep that have left no result, so that a page can name them."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from diffplan.report.dashboard.dashboard_selection import DashboardSelection
from diffplan.report.run_record import CONFIG_FILE, RunRecord

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


def unfinished_runs(
    folder: Path, selection: DashboardSelection, failure: Callable[[Path], str | None]
) -> list[UnfinishedRun]:
    """Finds the runs below a folder that belong to a selection and have not finished.

    Args:
        folder: Where to search.
        selection: Which runs count.
        failure: Says why the run of a folder failed, or None.
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


def _facts(run_dir: Path) -> dict[str, Any]:
    """What the run was to be: from its resolved config, else from the words that it was started with."""
    config = _read_yaml(run_dir / CONFIG_FILE)
    if isinstance(config, Mapping):
        task = config.get("task")
        facts = {key: config.get(key) for key in _KEYS}
        return facts | {"task": task.get("name") if isinstance(task, Mapping) else task}
    hydra, words = (_read_yaml(run_dir / _HYDRA_DIR / f"{name}.yaml") for name in ("config", "overrides"))
    config = hydra if isinstance(hydra, Mapping) else {}
    task = config.get("task")
    facts = {key: config.get(key) for key in ("name", "sweep", "seed")}
    tried = [str(word) for word in words] if isinstance(words, list) else []
    return facts | {"task": task.get("name") if isinstance(task, Mapping) else None, "ablation": ",".join(tried)}


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


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
