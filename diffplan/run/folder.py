"""The folder of one run: its lock, its checkpoints and its result."""

import logging
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from diffplan.errors import ConfigError, LockedError, ResultError
from diffplan.files import LOCK, sweep_partials, write_atomically
from diffplan.run.result import Result
from diffplan.run.slurm_job import SlurmJob

_PATIENCE = 120.0

logger = logging.getLogger(__name__)


class RunDir:
    """A run's folder. One process at a time works in it, and first removes what a killed one left half-written.

    Args:
        path: The folder; ``with`` makes it if it does not exist.
        locks: Whether this process locks the folder. Of a run with several processes, only the first one does.

    A job that a cluster has put back into its queue waits up to two minutes for the lock.

    Raises:
        LockedError: another process is working in the folder.
    """

    def __init__(self, path: Path, locks: bool = True) -> None:
        self.path = path
        self.locks = locks
        self._lock = FileLock(path / LOCK)

    def __enter__(self) -> "RunDir":
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            if self.locks:
                self._lock.acquire(timeout=self._patience_seconds())
        except Timeout as error:
            raise LockedError(
                f"another process is working in {self.path}; wait for it, or start under another name=..."
            ) from error
        if self.locks:
            sweep_partials(self.path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    @staticmethod
    def _patience_seconds() -> float:
        """Returns how long to wait: the last process of a requeued job may still be ending."""
        if not SlurmJob.was_requeued():
            return 0.0
        logger.info("waiting up to %.0f s for the folder, should the requeued job's last process hold it", _PATIENCE)
        return _PATIENCE

    @property
    def results_path(self) -> Path:
        """Place of the result of the finished run."""
        return self.path / "results.json"

    def checkpoint(self, name: str) -> Path:
        """Returns the place of the newest checkpoint: ``last`` is the denoiser's, ``critic`` the critic's."""
        return self.path / "checkpoints" / f"{name}.ckpt"

    def check_resume(self, resume: bool) -> None:
        """Refuses a folder that holds a run already, unless that run is to be continued.

        Args:
            resume: Whether it is to be continued.

        Raises:
            ConfigError: the folder holds a run and ``resume`` is false.
        """
        if not resume and any(self.checkpoint(name).exists() for name in ("last", "critic")):
            raise ConfigError(
                f"{self.path} holds a run already; continue it with resume=true or choose another name=..."
            )

    def result(self) -> Result | None:
        """Returns the final result; None if there is none, or a file that cannot be read."""
        try:
            return Result.read(self.results_path)
        except (OSError, ResultError):
            return None

    def write(self, result: Result) -> None:
        """Writes a result atomically: the final one as ``results.json``, others into the folder ``evaluation``."""
        name = self.results_path if result.final else self.path / "evaluation" / f"results-step{result.step}.json"
        write_atomically(name, result.to_json().encode(), durable=True)


def previous_checkpoint(newest: Path) -> Path:
    """Returns the place of the checkpoint that was the newest one before: ``last.previous.ckpt`` for ``last.ckpt``."""
    return newest.with_suffix(".previous.ckpt")
