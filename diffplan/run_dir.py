"""The folder of one run: who is working in it, where to continue, and whether it is finished."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from diffplan.errors import ConfigError, LockedError
from diffplan.report.atomic_write import write_atomically


@dataclass(frozen=True)
class Results:
    """What a finished run leaves.

    Attributes:
        step: Optimiser steps trained.
        metrics: Of the last evaluation.
        data: Identity of the training data.
    """

    step: int
    metrics: dict[str, float]
    data: dict[str, Any]


class RunDir:
    """A run's folder, held by one process at a time.

    Args:
        path: The folder; made where it is not there.
        locks: Whether this process holds the folder for its run; of a run with several processes, the first one does.

    Raises:
        LockedError: another process is working in it.
    """

    def __init__(self, path: Path, locks: bool = True) -> None:
        self.path = path
        self.locks = locks
        self._lock = FileLock(path / ".lock")

    def __enter__(self) -> "RunDir":
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            if self.locks:
                self._lock.acquire(timeout=0)
        except Timeout as error:
            raise LockedError(
                f"another process is working in {self.path}; wait for it, or start under another name=..."
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    @property
    def results_path(self) -> Path:
        """Scores of the finished run."""
        return self.path / "results.json"

    def checkpoint_to_resume(self, resume: bool) -> Path | None:
        """Says where to continue.

        Raises:
            ConfigError: the folder holds a run that is not to be continued.
        """
        last = self.path / "checkpoints" / "last.ckpt"
        if not last.exists():
            return None
        if not resume:
            raise ConfigError(
                f"{self.path} holds a run already; continue it with resume=true or choose another name=..."
            )
        return last

    def results(self) -> Results | None:
        """The final scores, where the run left them; a broken file counts as none."""
        try:
            return Results(**json.loads(self.results_path.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def finish(self, results: Results) -> None:
        """Leaves the final scores, whole or not at all."""
        write_atomically(self.results_path, json.dumps(asdict(results), indent=1).encode())
