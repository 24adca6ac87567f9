"""One cell of a sweep: its settings, its run folder, and how far that run is."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from diffplan.errors import DiffplanError
from diffplan.run.slurm_job import SlurmJob, queued_jobs
from diffplan.sweep.failure_note import read_failure_note


class _State(StrEnum):
    FINISHED = "finished"
    BUSY = "busy"
    FAILED = "failed"
    STARTED = "started"
    MISSING = "missing"


@dataclass(frozen=True, eq=False)
class Cell:
    """One cell of a sweep as it stood when it was looked at.

    Attributes:
        overrides: Its words on the command line.
        config: Composed, without Hydra's own part; None where the cell cannot be composed to its end.
        state: ``finished``, ``busy`` (another process is working in it, or a cluster's job waits), ``failed``,
            ``started`` or ``missing``.
        reason: Why it failed, or who is busy.
    """

    overrides: tuple[str, ...]
    config: DictConfig | None
    state: str
    reason: str = ""

    @property
    def run_dir(self) -> Path | None:
        """The run's folder."""
        return None if self.config is None else Path(self.config.paths.run_dir)


def look_at_cell(overrides: Sequence[str], composed: DictConfig, is_finished: Callable[[DictConfig], bool]) -> Cell:
    """Finds out how far a cell is.

    Args:
        overrides: Its words on the command line.
        composed: Its config with Hydra's part.
        is_finished: The command's own judgement of a config.
    """
    hydra_config = HydraConfig.instance()
    before = hydra_config.cfg
    try:
        # Folders are named by what the command line changes, which Hydra knows.
        hydra_config.set_config(composed)
        config = composed.copy()
        with open_dict(config):
            del config["hydra"]
            config.paths.run_dir = str(config.paths.run_dir)
        return Cell(tuple(overrides), config, *_state(Path(config.paths.run_dir), is_finished(config)))
    except (DiffplanError, HydraException, OmegaConfBaseException) as error:
        return Cell(tuple(overrides), None, _State.FAILED, _reason(error))
    finally:
        hydra_config.cfg = before


def words_of_cells(cells: Sequence[Cell]) -> tuple[str, list[str]]:
    """The words that all cells share, and those of each cell beside them."""
    shared = set.intersection(*(set(cell.overrides) for cell in cells)) if len(cells) > 1 else set()
    common = " ".join(word for word in cells[0].overrides if word in shared) if cells else ""
    return common, [" ".join(word for word in cell.overrides if word not in shared) for cell in cells]


def is_busy(run_dir: Path) -> bool:
    """Whether another process is working in a run's folder."""
    lock = run_dir / ".lock"
    if not lock.exists():
        return False
    try:
        with FileLock(lock).acquire(timeout=0):
            return False
    except Timeout:
        return True


def _state(run_dir: Path, finished: bool) -> tuple[str, str]:
    if is_busy(run_dir):
        return _State.BUSY, f"another process is working in {run_dir}"
    if finished:
        return _State.FINISHED, ""
    job = SlurmJob.of_run(run_dir)
    if job is not None and (state := queued_jobs().get(job.number)) is not None:
        return _State.BUSY, f"its SLURM job {job.number} is {state.lower()}"
    failure = read_failure_note(run_dir)
    if failure is not None:
        return _State.FAILED, failure
    checkpoints = (run_dir / "checkpoints" / f"{name}.ckpt" for name in ("last", "critic"))
    return (_State.STARTED if any(path.exists() for path in checkpoints) else _State.MISSING), ""


def _reason(error: BaseException) -> str:
    causes = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    own = next((cause for cause in causes if isinstance(cause, DiffplanError)), error)
    return re.sub(r"^\w+ raised while resolving interpolation: ", "", str(own).strip()).splitlines()[0]
