"""Results of runs, read from folders or from W&B, as one pandas table with a row an episode."""

import logging
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from diffplan.config.settings import comparable_settings, tried_words
from diffplan.errors import ResultError
from diffplan.run.result import RESULT_KEY, EpisodeScores, Result

logger = logging.getLogger(__name__)

# W&B and Hydra write into these folders. They never hold results.
_NOT_SEARCHED = {"wandb", ".hydra"}
DEFAULT_FOLDER = "outputs"
_NAME = re.compile(r"results.*\.json")
_INTERIM_NAME = re.compile(r"results-step\d+\.json")
_RUNS_PER_PAGE = 100


@dataclass(frozen=True, repr=False)
class StoredResult:
    """The record of one evaluation, and where it was read: the path of a file or the address of a W&B run."""

    result: Result
    source: str

    def __repr__(self) -> str:
        """Shows the source only, because the record itself is long."""
        return f"StoredResult({self.source})"

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """The settings that influence scores, by dotted key: without seeds, with the number of steps trained."""
        return comparable_settings(self.result.config) | {"step": self.result.step}

    @cached_property
    def ablation(self) -> str:
        """What training and planning changed, as typed on the command line, or ``default``."""
        trained = str(self.result.config.get("ablation") or "default")
        parts = [trained] if self.result.ablation == trained else [trained, self.result.ablation]
        return ",".join(dict.fromkeys(word for part in parts for word in tried_words(part))) or "default"

    def episodes(self, protocol: str) -> EpisodeScores:
        """Returns the episodes of one protocol of this result."""
        return self.result.protocols[protocol]


@dataclass(frozen=True)
class RunSelection:
    """Which runs a table or page shows. A field that is None admits all runs; ``*`` stands for any text.

    Attributes:
        sweep: Name of a sweep.
        group: ``<task>/<name>/<ablation>`` as in W&B, or its first one or two parts.
        name: The run's ``name``.
        task: D4RL id.
    """

    sweep: str | None = None
    group: str | None = None
    name: str | None = None
    task: str | None = None

    @property
    def words(self) -> dict[str, str]:
        """The fields that are not None."""
        return {key: value for key, value in vars(self).items() if value is not None}

    @property
    def text(self) -> str:
        """The selection for a heading; ``all runs`` if no field was given."""
        return ", ".join(f"{key} {value}" for key, value in self.words.items()) or "all runs"

    def admits(self, stored: StoredResult) -> bool:
        """Tells whether a result belongs to the selected runs."""
        facts = {key: getattr(stored.result, key) for key in ("task", "name", "sweep")}
        return self.admits_run(facts | {"ablation": stored.ablation})

    def admits_run(self, facts: Mapping[str, Any]) -> bool:
        """Tells whether a run with this ``task``, ``name``, ``ablation`` and ``sweep`` is selected."""
        path = f"{facts.get('task')}/{facts.get('name')}/{facts.get('ablation')}"
        group = self.group or "*"
        in_group = fnmatchcase(path, group) or path.startswith(f"{group.rstrip('/')}/")
        plain = {key: value for key, value in self.words.items() if key != "group"}
        return in_group and all(fnmatchcase(str(facts.get(key) or ""), value) for key, value in plain.items())


@dataclass(frozen=True)
class FoundResults:
    """Results in the order of their sources, and source and reason of every file or run that could not be read."""

    results: list[StoredResult]
    skipped: list[tuple[str, str]]

    def __add__(self, other: "FoundResults") -> "FoundResults":
        """Joins two searches. A result that both found is counted once when scores are pooled."""
        return FoundResults(self.results + other.results, self.skipped + other.skipped)

    def table(self, selection: RunSelection | None = None) -> pd.DataFrame:
        """Returns the results of the selected runs as one table, see ``episode_table``."""
        selection = selection or RunSelection()
        return episode_table([stored for stored in self.results if selection.admits(stored)])


def results(*folders: str | Path, wandb: str | None = None, final_only: bool = True) -> pd.DataFrame:
    """Reads every result below folders, or of a W&B project, as one pandas table with a row an episode.

    ``results("outputs").groupby(["task", "ablation"])["score"].mean()`` is a first look. Unlike ``diffplan table``,
    pandas averages all rows, even if the results are not comparable.

    Args:
        folders: Folders or single files; ``outputs`` if neither folders nor a project are given.
        wandb: ``entity/project`` to read as well.
        final_only: Leaves out evaluations that were made during training.

    Returns:
        The table. See ``episode_table`` for its columns.

    Raises:
        ResultError: A folder does not exist, or W&B cannot be read.
    """
    found = search(folders, wandb, final_only)
    for source, reason in found.skipped:
        logger.warning("skipped %s: %s", source, reason)
    return found.table()


def search(folders: Sequence[str | Path], wandb: str | None, final_only: bool = True) -> FoundResults:
    """Searches folders and a W&B project. The arguments and errors are those of ``results``."""
    found = FoundResults([], [])
    for folder in folders or (() if wandb else (DEFAULT_FOLDER,)):
        found += read_results(Path(folder).expanduser(), final_only)
    return found + read_wandb_results(wandb) if wandb else found


def episode_table(stored_results: Sequence[StoredResult]) -> pd.DataFrame:
    """Puts results into one table with a row for each episode of each protocol of each result.

    Columns: ``task``, ``protocol``, ``name``, ``ablation``, ``sweep``, ``seed`` (of training), ``step`` (trained to),
    ``final``; ``episode`` (its seed), ``return``, ``score``, ``latched_score`` (NaN for tasks without a goal),
    ``length``; ``decision_seconds``, ``decision_cpu_seconds``, ``decision_gflop`` (of one environment step); ``data``
    (kind of the training data), ``env_id``, ``created``, ``source``; ``result`` (the ``StoredResult`` with the whole
    record); then a column for every setting that differs between the results, by dotted key.
    """
    settings = pd.DataFrame([{key: repr(value) for key, value in one.settings.items()} for one in stored_results])
    counts = settings.fillna("missing").nunique()
    varying = [str(key) for key in counts.index[counts > 1] if key not in _COLUMNS]
    rows = [
        _columns(stored, protocol) | {key: _groupable(stored.settings.get(key)) for key in varying}
        for stored in stored_results
        for protocol, played in stored.result.protocols.items()
        if played.seeds
    ]
    table = pd.DataFrame(rows, columns=[*_COLUMNS, *varying]).explode(list(_OF_EPISODES), ignore_index=True)
    return table.astype(_OF_EPISODES)


_OF_EPISODES = {"episode": "int64", "return": "float64", "score": "float64", "latched_score": "float64",
                "length": "int64"}  # fmt: skip
_COLUMNS = (
    "task", "protocol", "name", "ablation", "sweep", "seed", "step", "final", *_OF_EPISODES, "decision_seconds",
    "decision_cpu_seconds", "decision_gflop", "data", "env_id", "created", "source", "result",
)  # fmt: skip


def _columns(stored: StoredResult, protocol: str) -> dict[str, Any]:
    result, played = stored.result, stored.episodes(protocol)
    own = {
        "protocol": protocol, "ablation": stored.ablation, "source": stored.source, "result": stored,
        "data": str(result.data["kind"]), "env_id": result.environment.get("env_id", ""),
        "episode": played.seeds, "return": played.returns, "score": played.scores, "length": played.lengths,
        "latched_score": played.latched_scores or [np.nan] * len(played.seeds),
    }  # fmt: skip
    own |= {name: getattr(played, name) for name in _COLUMNS if name.startswith("decision")}
    return {name: own[name] if name in own else getattr(result, name) for name in _COLUMNS}


def _groupable(value: Any) -> Any:
    # Pandas cannot group by a list.
    return str(value) if isinstance(value, (list, dict)) else value


def stored_results(table: pd.DataFrame) -> list[StoredResult]:
    """Returns each result of a table once, in the order of its rows."""
    return list({id(stored): stored for stored in table["result"]}.values())


def read_results(folder: Path, final_only: bool = True) -> FoundResults:
    """Reads every ``results*.json`` at any depth below a folder.

    Files that are broken, incomplete, foreign or of another schema version are listed as skipped.

    Args:
        folder: Folder to search, or a single file.
        final_only: Leaves out evaluations that were made during training.

    Raises:
        ResultError: The folder does not exist or cannot be listed.
    """
    unreadable: list[OSError] = []
    found, skipped = [], []
    for path in [folder] if folder.is_file() else _result_files(folder, final_only, unreadable):
        try:
            result = _with_usable_numbers(Result.read(path))
        except ResultError as error:
            skipped.append((str(path), str(error)))
        except OSError as error:
            skipped.append((str(path), f"cannot be read: {error.strerror}"))
        else:
            if result.final or not final_only:
                found.append(StoredResult(result, str(path)))
    skipped += [(str(error.filename), f"cannot be listed: {error.strerror}") for error in unreadable]
    return FoundResults(found, skipped)


def _with_usable_numbers(result: Result) -> Result:
    """Returns a result whose numbers can be averaged.

    Raises:
        ResultError: a score is not finite, or a number is no number of an episode.
    """
    for protocol, played in result.protocols.items():
        columns = [played.returns, played.scores, played.latched_scores or [], [played.decision_seconds]]
        if not all(math.isfinite(value) for column in columns for value in column):
            raise ResultError(f"a return or score of {protocol} is not finite")
        if not all(0 <= value < 2**63 for value in (*played.seeds, *played.lengths)):
            raise ResultError(f"a seed or length of {protocol} is no number of an episode")
    return result


def _result_files(folder: Path, final_only: bool, unreadable: list[OSError]) -> Iterator[Path]:
    try:
        os.scandir(folder).close()
    except OSError as error:
        raise ResultError(f"results cannot be read from {folder}: {error.strerror}.") from None
    for place, folders, names in os.walk(folder, onerror=unreadable.append):
        folders[:] = sorted(set(folders) - _NOT_SEARCHED)
        for name in sorted(names):
            if _NAME.fullmatch(name) and not (final_only and _INTERIM_NAME.fullmatch(name)):
                yield Path(place, name)


def read_wandb_results(
    project: str, filters: Mapping[str, Any] | None = None, timeout_seconds: int = 30
) -> FoundResults:
    """Reads the final result of every run of a W&B project.

    Runs that hold no readable result are listed as skipped.

    Args:
        project: ``entity/project``, or a project of the account's default entity.
        filters: Selects runs in W&B's query language. None selects all runs.
        timeout_seconds: Longest wait for one page of runs.

    Raises:
        ResultError: There is no account, no such project, or W&B does not answer.
    """
    # Imported here, because W&B takes longer to load than a table takes to make.
    import requests
    import wandb

    if project.count("/") > 1 or not all(project.split("/")):
        raise ResultError(f"wandb must be entity/project, got {project!r}.")
    found, skipped = [], []
    try:
        if not wandb.login(prompt=False, verify=False):
            raise ResultError(
                f"results of W&B's project {project} need an account, and this machine has none: run `wandb login` or "
                "set WANDB_API_KEY."
            )
        # W&B would print messages of its own before our error if a connection fails.
        logging.getLogger("wandb").setLevel(logging.CRITICAL)
        api = wandb.Api(timeout=timeout_seconds)
        for run in api.runs(project, filters=dict(filters or {}), per_page=_RUNS_PER_PAGE, lazy=False):
            place = f"W&B run {'/'.join(run.path)} ({run.name})"
            text = run.summary.get(RESULT_KEY)
            if not isinstance(text, str):
                skipped.append((place, f"no result: state {run.state}"))
                continue
            try:
                found.append(StoredResult(_with_usable_numbers(Result.parse(text)), run.url))
            except ResultError as error:
                skipped.append((place, str(error)))
    except (wandb.Error, requests.RequestException, ValueError, OSError, TimeoutError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise ResultError(f"results cannot be read from W&B's project {project}: {reason}.") from None
    return FoundResults(sorted(found, key=lambda stored: stored.source), skipped)
