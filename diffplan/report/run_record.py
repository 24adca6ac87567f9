"""What a run wrote into its folder, read back whether or not it has finished."""

import csv
import io
import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from diffplan.errors import ResultError
from diffplan.files import read_whole, read_yaml

METRICS_FILE = "metrics.jsonl"
FILES_FILE = "files.jsonl"
EVENTS_FILE = "events.jsonl"
CONFIG_FILE = "config.yaml"
TABLE_DIR = "tables"
MEDIA_DIR = "media"
_MOST_BYTES = 2**28


class JsonLines:
    """One JSON object a line. A line is written in one call, so other readers and a resumed run see whole lines.

    A line that was cut short (power loss, full disk) is skipped when reading, and the next line starts afresh.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: Mapping[str, Any]) -> None:
        """Adds one object at the end.

        Args:
            record: Plain values; numbers that JSON has no name for (NaN, infinity) must have been replaced.
        """
        line = json.dumps(record, allow_nan=False, ensure_ascii=False).encode() + b"\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            if file.tell() > 0:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    line = b"\n" + line
            file.write(line)

    def sync(self) -> None:
        """Waits until every line is on the disk."""
        with suppress(FileNotFoundError), self.path.open("rb") as file:
            os.fsync(file.fileno())

    def read(self) -> list[dict[str, Any]]:
        """Returns every whole object in the order of writing; an absent file has none."""
        records = []
        for line in _content(self.path).split(b"\n"):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                continue  # A torn or empty line: test_a_torn_line_is_skipped_and_the_next_one_survives.
            if isinstance(record, dict):
                records.append(record)
        return records


@dataclass(frozen=True)
class LoggedFile:
    """A picture, video or table that a run logged at a training step."""

    step: int
    path: Path


@dataclass(frozen=True)
class RunRecord:
    """Everything the pages and tables need to know about one run.

    Attributes:
        run_dir: Folder of the run.
        config: Resolved config; empty where none was written.
        metrics: Per step the values logged there; a step logged again by a resumed run holds the later values. A value
            that was not finite reads NaN.
        files: Pictures, videos and tables by key, each list in the order of steps.
        events: ``start`` and ``finish`` records in the order of writing.
        last_time: When something was last written, in seconds since 1970; None for an empty run.
    """

    run_dir: Path
    config: dict[str, Any]
    metrics: dict[int, dict[str, float]]
    files: dict[str, list[LoggedFile]]
    events: list[dict[str, Any]]
    last_time: float | None = None

    @classmethod
    def read(cls, run_dir: Path) -> "RunRecord":
        """Reads a run folder, whole or half-written; what is missing or torn is left out."""
        records, events = JsonLines(run_dir / METRICS_FILE).read(), JsonLines(run_dir / EVENTS_FILE).read()
        times = [float(line["time"]) for line in records + events if isinstance(line.get("time"), (int, float))]
        config, last_time = read_settings(run_dir / CONFIG_FILE), max(times, default=None)
        config = dict(config) if isinstance(config, Mapping) else {}
        return cls(run_dir, config, merge_metrics(records), _read_files(run_dir), events, last_time)

    @property
    def groups(self) -> dict[str, Any]:
        """The grouping keys (task, name, seed, ablation...) given at the latest start."""
        given: list[dict[str, Any]] = [e["groups"] for e in self.events if isinstance(e.get("groups"), dict)]
        return given[-1] if given else {}

    @property
    def last_step(self) -> int:
        """Greatest training step anything was logged at; 0 for an empty run."""
        return max(self.metrics, default=0)

    @property
    def keys(self) -> list[str]:
        """Every key of a number, in the order of the steps that it was first logged at."""
        return list(dict.fromkeys(key for step in sorted(self.metrics) for key in self.metrics[step]))

    def series(self, key: str) -> tuple[list[int], list[float]]:
        """Returns the steps at which a key was logged, ascending, and its values."""
        steps = [step for step in sorted(self.metrics) if key in self.metrics[step]]
        return steps, [self.metrics[step][key] for step in steps]

    def latest(self, key: str) -> float | None:
        """Returns the value a key had last, or None where it was never logged."""
        _, values = self.series(key)
        return values[-1] if values else None

    def latest_file(self, key: str) -> LoggedFile | None:
        """Returns the file of the greatest step that still exists, or None."""
        return next((file for file in reversed(self.files.get(key, [])) if file.path.is_file()), None)


def merge_metrics(records: list[dict[str, Any]]) -> dict[int, dict[str, float]]:
    """Merges log calls into one row a step, later calls winning key by key.

    Args:
        records: Lines of the metrics file in the order of writing; lines without an integer step are left out.

    Returns:
        Values by step.
    """
    rows: dict[int, dict[str, float]] = {}
    for record in records:
        step = record.get("step")
        if not isinstance(step, int):
            continue
        row = rows.setdefault(step, {})
        for key, value in record.items():
            if key in ("step", "time"):
                continue
            if value is None:
                row[key] = math.nan
            elif isinstance(value, (int, float)):
                row[key] = float(value)
    return rows


def read_table(path: Path) -> pd.DataFrame:
    """Reads a table as text; rows of another length are left out, and an unreadable file is an empty table."""
    try:
        columns, *rows = csv.reader(io.StringIO(_content(path).decode(), newline=""))
    except (ValueError, csv.Error):
        return pd.DataFrame()
    return pd.DataFrame([row for row in rows if len(row) == len(columns)], columns=columns, dtype=object)


def read_settings(path: Path) -> Any:
    """Reads a YAML file of a run; an unreadable one gives None."""
    try:
        return read_yaml(path, _MOST_BYTES)
    except (OSError, ResultError):
        return None


def _content(path: Path) -> bytes:
    """The content of a file of a run; nothing of one that is not there, is no ordinary file, or is too large."""
    try:
        return read_whole(path, _MOST_BYTES)
    except (OSError, ResultError):
        return b""


def _read_files(run_dir: Path) -> dict[str, list[LoggedFile]]:
    root = run_dir.resolve()
    files: dict[tuple[str, int], LoggedFile] = {}
    for record in JsonLines(run_dir / FILES_FILE).read():
        key, step, name = record.get("key"), record.get("step"), record.get("path")
        if not (isinstance(key, str) and isinstance(step, int) and isinstance(name, str)):
            continue
        # A record is data: one that points outside the run folder is not followed.
        if (root / name).resolve().is_relative_to(root):
            files[key, step] = LoggedFile(step=step, path=run_dir / name)
    by_key: dict[str, list[LoggedFile]] = {}
    for key, step in sorted(files):
        by_key.setdefault(key, []).append(files[key, step])
    return by_key
