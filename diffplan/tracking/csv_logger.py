"""The always-on logger: plain files in the run folder."""

import csv
import io
import platform
import re
import shutil
import sys
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.utilities import rank_zero_only

from diffplan.errors import ConfigError
from diffplan.files import write_atomically
from diffplan.report.run_record import (
    CONFIG_FILE,
    EVENTS_FILE,
    FILES_FILE,
    MEDIA_DIR,
    METRICS_FILE,
    TABLE_DIR,
    JsonLines,
    merge_metrics,
)
from diffplan.run.versions import versions
from diffplan.tracking.base import AbstractRunLogger, plain_value

_SECONDS_BETWEEN_TABLES = 30.0


class CsvLogger(AbstractRunLogger):
    """Writes numbers, config, pictures, videos and tables as files that survive a kill and a resume.

    ``metrics.jsonl`` is the record: one line a log call, only ever appended to. ``metrics.csv`` is made from it, one
    row a step, rewritten whole from time to time and at the end. A resumed run appends to the same record; where it
    repeats a step, its values win.

    Args:
        save_dir: Run folder.
    """

    def __init__(self, save_dir: Path | str) -> None:
        super().__init__()
        self._dir = Path(save_dir)
        self._metrics = JsonLines(self._dir / METRICS_FILE)
        self._files = JsonLines(self._dir / FILES_FILE)
        self._events = JsonLines(self._dir / EVENTS_FILE)
        self._started = False
        self._table_time = 0.0

    @property
    def name(self) -> str:
        """Name of the run folder."""
        return self._dir.name

    @property
    def version(self) -> str:
        """Empty: a run folder holds one run."""
        return ""

    @property
    def save_dir(self) -> str:
        """Run folder."""
        return str(self._dir)

    @rank_zero_only
    def log_config(self, config: Mapping[str, Any], groups: Mapping[str, str | int | float | bool | None]) -> None:
        """Writes ``config.yaml`` and notes the start of the run with its command and versions."""
        text = yaml.safe_dump(plain_value(config), sort_keys=False, allow_unicode=True)
        write_atomically(self._dir / CONFIG_FILE, text.encode())
        self._note_start(plain_value(groups))

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Writes what Lightning modules saved as hyperparameters beside the config."""
        values = plain_value(vars(params) if isinstance(params, Namespace) else params)
        if values:
            text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
            write_atomically(self._dir / "hyperparameters.yaml", text.encode())

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Appends one line.

        Args:
            metrics: Numbers by key; one that is not finite is kept as "no value".
            step: Training step; 0 where none is given.
        """
        if not self._started:
            self._note_start(None)
        self._metrics.append({"step": int(step or 0), "time": round(time.time(), 3), **plain_value(metrics)})

    @rank_zero_only
    def log_media(self, key: str, path: Path, step: int) -> None:
        """Copies a picture or video into the run folder."""
        suffix = path.suffix.lower()
        if suffix not in (".png", ".jpg", ".jpeg", ".mp4"):
            raise ConfigError(f"Media must be a png, jpg or mp4 file, got {path.name!r} for {key!r}.")
        target = self._file_path(MEDIA_DIR, key, step, suffix)
        if path.resolve() != target.resolve():
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f".{target.name}")
            shutil.copyfile(path, partial)
            partial.replace(target)
        self._note_file(key, target, step)

    @rank_zero_only
    def log_table(self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int) -> None:
        """Writes a table as a CSV file."""
        for row in rows:
            if len(row) != len(columns):
                raise ConfigError(f"Every row of {key!r} must have {len(columns)} values, got one with {len(row)}.")
        target = self._file_path(TABLE_DIR, key, step, ".csv")
        write_atomically(target, _csv_bytes([list(columns), *[plain_value(row) for row in rows]]))
        self._note_file(key, target, step)

    def where_to_look(self) -> str:
        """Names the page, or the numbers where no page has been written."""
        page = self._dir / "index.html"
        return f"Open {page}" if page.is_file() else f"Numbers, pictures and tables are in {self._dir}"

    @rank_zero_only
    def save(self) -> None:
        """Rewrites ``metrics.csv`` when the last time was a while ago; the record itself is always up to date."""
        if time.monotonic() - self._table_time > _SECONDS_BETWEEN_TABLES:
            self._write_table()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Rewrites ``metrics.csv`` and notes how the run ended.

        Args:
            status: Lightning's word for it: ``success``, ``failed``...
        """
        if self._started:
            self._write_table()
            self._events.append({"event": "finish", "time": round(time.time(), 3), "status": status})

    def _note_start(self, groups: dict[str, Any] | None) -> None:
        self._started = True
        self._events.append(
            {
                "event": "start",
                "time": round(time.time(), 3),
                "command": sys.argv,
                "python": platform.python_version(),
                "platform": platform.platform(terse=True),
                "versions": versions(),
                "groups": groups,
            }
        )

    def _note_file(self, key: str, path: Path, step: int) -> None:
        relative = path.relative_to(self._dir).as_posix()
        self._files.append({"step": step, "time": round(time.time(), 3), "key": key, "path": relative})

    def _file_path(self, folder: str, key: str, step: int, suffix: str) -> Path:
        parts = [re.sub(r"[^A-Za-z0-9_-]+", "_", part) for part in key.split("/") if part]
        return self._dir.joinpath(folder, *parts[:-1], f"{parts[-1]}_{step:09d}{suffix}")

    def _write_table(self) -> None:
        self._table_time = time.monotonic()
        rows = merge_metrics(self._metrics.read())
        keys = sorted({key for row in rows.values() for key in row})
        table: list[list[Any]] = [
            ["step", *keys],
            *[[step, *[rows[step].get(key, "") for key in keys]] for step in sorted(rows)],
        ]
        write_atomically(self._dir / "metrics.csv", _csv_bytes(table))


def _csv_bytes(table: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(table)
    return text.getvalue().encode()
