"""The always-on logger: plain files in the run folder."""

import csv
import io
import platform
import re
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from diffplan.files import new_file, write_atomically
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
from diffplan.tracking.base import AbstractRunLogger, first_process_only, media_suffix, plain_rows, plain_value

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
        self.run_dir = Path(save_dir)
        self._metrics = JsonLines(self.run_dir / METRICS_FILE)
        self._files = JsonLines(self.run_dir / FILES_FILE)
        self._events = JsonLines(self.run_dir / EVENTS_FILE)
        self._started = False
        self._table_time = 0.0

    @first_process_only
    def log_config(self, config: Mapping[str, Any], groups: Mapping[str, str | int | float | bool | None]) -> None:
        """Writes ``config.yaml`` and notes the start of the run with its command and versions."""
        text = yaml.safe_dump(plain_value(config), sort_keys=False, allow_unicode=True)
        write_atomically(self.run_dir / CONFIG_FILE, text.encode())
        self._note_start(plain_value(groups))

    @first_process_only
    def log_hyperparams(self, params: Mapping[str, Any]) -> None:
        if params:
            text = yaml.safe_dump(plain_value(params), sort_keys=False, allow_unicode=True)
            write_atomically(self.run_dir / "hyperparameters.yaml", text.encode())

    @first_process_only
    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Appends one line; a number that is not finite is kept as "no value"."""
        if not self._started:
            self._note_start(None)
        self._metrics.append({"step": step, "time": round(time.time(), 3), **plain_value(metrics)})

    @first_process_only
    def log_media(self, key: str, path: Path, step: int) -> None:
        target = self._file_path(MEDIA_DIR, key, step, media_suffix(key, path))
        if path.resolve() != target.resolve():
            with path.open("rb") as source, new_file(target) as file:
                shutil.copyfileobj(source, file)
        self._note_file(key, target, step)

    @first_process_only
    def log_table(self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int) -> None:
        target = self._file_path(TABLE_DIR, key, step, ".csv")
        write_atomically(target, _csv_bytes([columns, *plain_rows(key, columns, rows)]))
        self._note_file(key, target, step)

    def where_to_look(self) -> str:
        """Names the page, or the numbers where no page has been written."""
        page = self.run_dir / "index.html"
        return f"Open {page}" if page.is_file() else f"Numbers, pictures and tables are in {self.run_dir}"

    @first_process_only
    def save(self) -> None:
        """Rewrites ``metrics.csv`` when the last time was a while ago; the record itself is always up to date."""
        if time.monotonic() - self._table_time > _SECONDS_BETWEEN_TABLES:
            self._write_table()

    @first_process_only
    def sync(self) -> None:
        self._metrics.sync()

    @first_process_only
    def finalize(self, status: str) -> None:
        """Rewrites ``metrics.csv`` and notes how the run ended."""
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
        relative = path.relative_to(self.run_dir).as_posix()
        self._files.append({"step": step, "time": round(time.time(), 3), "key": key, "path": relative})

    def _file_path(self, folder: str, key: str, step: int, suffix: str) -> Path:
        parts = [re.sub(r"[^A-Za-z0-9_-]+", "_", part) for part in key.split("/") if part]
        return self.run_dir.joinpath(folder, *parts[:-1], f"{parts[-1]}_{step:09d}{suffix}")

    def _write_table(self) -> None:
        self._table_time = time.monotonic()
        write_metrics_table(self.run_dir)


def write_metrics_table(run_dir: Path) -> None:
    """Writes ``metrics.csv`` from the record of log calls, a row a step; a run without a record gets none.

    Args:
        run_dir: Folder of a run.
    """
    rows = merge_metrics(JsonLines(run_dir / METRICS_FILE).read())
    keys = sorted({key for row in rows.values() for key in row})
    lines = [[step, *[rows[step].get(key, "") for key in keys]] for step in sorted(rows)]
    if rows:
        write_atomically(run_dir / "metrics.csv", _csv_bytes([["step", *keys], *lines]))


def _csv_bytes(table: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(table)
    return text.getvalue().encode()
