"""Shows how far a long task is, on a terminal and in a log file."""

import logging
import time
from datetime import timedelta
from types import TracebackType
from typing import Literal

from rich import progress

from diffplan.terminal import plain_console, printable

logger = logging.getLogger(__name__)

LINE_SECONDS = 30.0


class TaskProgress:
    """A bar on stderr if that is a terminal; otherwise a line in the log every 30 seconds. Both show the time left.

    Args:
        activity: What is done, for instance ``Generating maze2d-umaze-v1``.
        total: Number of units of the whole task; None if unknown.
        unit: What is counted.
        visible: Whether anything is shown.
    """

    def __init__(
        self, activity: str, total: int | None, unit: Literal["rows", "bytes", "steps"] = "rows", visible: bool = True
    ) -> None:
        self.unit = unit
        console = plain_console(stderr=True)
        self._has_lines = visible and not console.is_terminal
        bytes_columns = (progress.DownloadColumn(), progress.TransferSpeedColumn())
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            *(bytes_columns if unit == "bytes" else (progress.MofNCompleteColumn(),)),
            progress.TimeRemainingColumn(),
            console=console,
            transient=unit != "bytes",
            disable=not (visible and console.is_terminal),
        )
        self._task = self._bar.add_task(printable(activity), total=total)
        self._first = 0
        self._began = self._reported = time.monotonic()

    def __enter__(self) -> "TaskProgress":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def restart(self, total: int | None, done: int) -> None:
        """Sets a new total and a new number of finished units."""
        self._bar.reset(self._task, total=total, completed=done)
        self._first = done
        self._began = self._reported = time.monotonic()

    def advance(self, count: int) -> None:
        """Counts further units."""
        self._bar.advance(self._task, count)
        now = time.monotonic()
        if not self._has_lines or now - self._reported < LINE_SECONDS:
            return
        self._reported = now
        task = self._bar.tasks[self._task]
        done = int(task.completed)
        if task.total is None:
            logger.info("%s: %s %s", task.description, f"{done:,}", self.unit)
            return
        seconds = (now - self._began) / max(done - self._first, 1) * max(task.total - done, 0)
        left = timedelta(seconds=round(seconds))
        logger.info("%s: %s of %s %s, %s left", task.description, f"{done:,}", f"{int(task.total):,}", self.unit, left)
