"""The folder of one run: who is working in it, where to continue, and whether it is finished."""

import logging
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from diffplan.errors import ConfigError, LockedError, ResultError
from diffplan.files import write_atomically
from diffplan.run.result import Result
from diffplan.run.slurm_job import SlurmJob

_PATIENCE = 120.0

logger = logging.getLogger(__name__)


class RunDir:
    """A run's folder, held by one process at a time.

    Args:
        path: The folder; made where it is not there.
        locks: Whether this process holds the folder for its run; of a run with several processes, the first one does.

    A job that a cluster brings back waits up to two minutes for it.

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
                self._lock.acquire(timeout=self._patience_seconds())
        except Timeout as error:
            raise LockedError(
                f"another process is working in {self.path}; wait for it, or start under another name=..."
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    @staticmethod
    def _patience_seconds() -> float:
        """A job that comes back may find its last process not quite gone, or its lock still known to a file server."""
        if not SlurmJob.was_requeued():
            return 0.0
        logger.info("waiting up to %.0f s for the folder, should the requeued job's last process hold it", _PATIENCE)
        return _PATIENCE

    @property
    def results_path(self) -> Path:
        """Result of the finished run."""
        return self.path / "results.json"

    def checkpoint(self, name: str) -> Path:
        """Where the newest checkpoint of a stage lies: ``last`` of the denoiser, ``critic``."""
        return self.path / "checkpoints" / f"{name}.ckpt"

    def check_resume(self, resume: bool) -> None:
        """Refuses to touch a run that is not to be continued.

        Raises:
            ConfigError: there is one.
        """
        if not resume and any(self.checkpoint(name).exists() for name in ("last", "critic")):
            raise ConfigError(
                f"{self.path} holds a run already; continue it with resume=true or choose another name=..."
            )

    def result(self) -> Result | None:
        """The final result, where the run left it; a broken file counts as none."""
        try:
            return Result.parse(self.results_path.read_bytes())
        except (OSError, ResultError):
            return None

    def write(self, result: Result) -> None:
        """Writes a result, whole or not at all: the final one as ``results.json``, others beside their pictures."""
        name = self.results_path if result.final else self.path / "evaluation" / f"results-step{result.step}.json"
        write_atomically(name, result.to_json().encode(), durable=True)
