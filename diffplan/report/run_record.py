"""What a run wrote into its folder, read back whether or not it has finished."""

import csv
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

METRICS_FILE = "metrics.jsonl"
FILES_FILE = "files.jsonl"
EVENTS_FILE = "events.jsonl"
CONFIG_FILE = "config.yaml"
TABLE_DIR = "tables"
MEDIA_DIR = "media"


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

    def read(self) -> list[dict[str, Any]]:
        """Returns every whole object in the order of writing; an absent file has none."""
        if not self.path.is_file():
            return []
        records = []
        for line in self.path.read_bytes().split(b"\n"):
            try:
                record = json.loads(line)
            except ValueError:
                continue  # A torn or empty line: test_a_torn_line_is_skipped_and_the_next_one_survives.
            if isinstance(record, dict):
                records.append(record)
        return records


@dataclass(frozen=True)
class LoggedFile:
    """A picture, video or table that a run logged.

    Attributes:
        key: Metric key, such as ``eval/single_task/plans``.
        step: Training step it belongs to.
        path: Where it lies, inside the run folder.
    """

    key: str
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
        times = [line["time"] for line in records + events if isinstance(line.get("time"), (int, float))]
        return cls(
            run_dir=run_dir,
            config=_read_config(run_dir / CONFIG_FILE),
            metrics=merge_metrics(records),
            files=_read_files(run_dir),
            events=events,
            last_time=float(max(times)) if times else None,
        )

    @property
    def groups(self) -> dict[str, Any]:
        """The grouping keys (task, name, seed, ablation...) given at the latest start."""
        given: list[dict[str, Any]] = [e["groups"] for e in self.events if isinstance(e.get("groups"), dict)]
        return given[-1] if given else {}

    @property
    def last_step(self) -> int:
        """Greatest training step anything was logged at; 0 for an empty run."""
        return max(self.metrics, default=0)

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


def read_table(path: Path) -> tuple[list[str], list[list[str]]]:
    """Reads a table as text: its column names and its rows; an unreadable file has neither."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error):
        return [], []
    return (lines[0], [row for row in lines[1:] if len(row) == len(lines[0])]) if lines else ([], [])


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return dict(config) if isinstance(config, Mapping) else {}


def _read_files(run_dir: Path) -> dict[str, list[LoggedFile]]:
    root = run_dir.resolve()
    files: dict[tuple[str, int], LoggedFile] = {}
    for record in JsonLines(run_dir / FILES_FILE).read():
        key, step, name = record.get("key"), record.get("step"), record.get("path")
        if not (isinstance(key, str) and isinstance(step, int) and isinstance(name, str)):
            continue
        # A record is data: one that points outside the run folder is not followed.
        if not (root / name).resolve().is_relative_to(root):
            continue
        files[key, step] = LoggedFile(key=key, step=step, path=run_dir / name)
    by_key: dict[str, list[LoggedFile]] = {}
    for key, step in sorted(files):
        by_key.setdefault(key, []).append(files[key, step])
    return by_key
