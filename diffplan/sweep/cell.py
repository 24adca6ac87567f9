"""One cell of a sweep: its settings, its run folder, and the state of its run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from diffplan.errors import DiffplanError, ResultError, sentence
from diffplan.files import read_whole, write_atomically
from diffplan.run.slurm_job import SlurmJob, queued_jobs

_FAILURE_NOTE, _LONGEST_NOTE = "failure.txt", 10**6


class State(StrEnum):
    """State of a run.

    ``RUNNING``: another process works in its folder, or its SLURM job waits or runs. ``INTERRUPTED``: it has a
    checkpoint and nobody works on it. ``MISSING``: it has never saved a checkpoint.
    """

    FINISHED = "finished"
    RUNNING = "running"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    MISSING = "missing"


@dataclass(frozen=True, eq=False)
class Cell:
    """One cell of a sweep, with the state it had when it was looked at.

    Attributes:
        overrides: Its settings, as on a command line.
        config: Its composed config without Hydra's part; None if it cannot be composed.
        state: State of its run.
        reason: Why it failed, or which process or job is running it.
    """

    overrides: tuple[str, ...]
    config: DictConfig | None
    state: State
    reason: str = ""

    @property
    def run_dir(self) -> Path | None:
        """The run's folder."""
        return None if self.config is None else Path(self.config.paths.run_dir)


def look_at_cell(overrides: Sequence[str], composed: DictConfig, is_finished: Callable[[DictConfig], bool]) -> Cell:
    """Finds out the state of a cell.

    Args:
        overrides: Its settings, as on a command line.
        composed: Its composed config, with Hydra's part.
        is_finished: Whether the run that a config describes is finished.
    """
    hydra_config = HydraConfig.instance()
    before = hydra_config.cfg
    try:
        # The run folder's name contains the changed settings, which a resolver reads from Hydra's config.
        hydra_config.set_config(composed)
        config = composed.copy()
        with open_dict(config):
            del config["hydra"]
            config.paths.run_dir = str(config.paths.run_dir)
        return Cell(tuple(overrides), config, *_state(Path(config.paths.run_dir), is_finished(config)))
    except (DiffplanError, HydraException, OmegaConfBaseException) as error:
        return Cell(tuple(overrides), None, State.FAILED, sentence(error).splitlines()[0])
    finally:
        hydra_config.cfg = before


def words_of_cells(cells: Sequence[Cell]) -> tuple[str, list[str]]:
    """Splits settings into those that all cells share and those of each cell."""
    shared = set.intersection(*(set(cell.overrides) for cell in cells)) if len(cells) > 1 else set()
    common = " ".join(word for word in cells[0].overrides if word in shared) if cells else ""
    return common, [" ".join(word for word in cell.overrides if word not in shared) for cell in cells]


def is_busy(run_dir: Path) -> bool:
    """Whether another process works in a run's folder."""
    lock = run_dir / ".lock"
    if not lock.exists():
        return False
    try:
        with FileLock(lock).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False  # Nobody can work where nobody can lock.


def write_failure_note(run_dir: Path, reason: str) -> None:
    """Writes into a run's folder why the run failed.

    Args:
        run_dir: The folder. Nothing is written if it does not exist.
        reason: One sentence.
    """
    if run_dir.is_dir():
        write_atomically(run_dir / _FAILURE_NOTE, f"{reason}\n".encode())


def read_failure_note(run_dir: Path) -> str | None:
    """Reads why a run failed; None if it has not failed."""
    try:
        return read_whole(run_dir / _FAILURE_NOTE, _LONGEST_NOTE).decode(errors="replace").strip()
    except (OSError, ResultError):
        return None


def remove_failure_note(run_dir: Path) -> None:
    """Removes the note of an earlier failure, because the run is started again."""
    (run_dir / _FAILURE_NOTE).unlink(missing_ok=True)


def _state(run_dir: Path, finished: bool) -> tuple[State, str]:
    if is_busy(run_dir):
        return State.RUNNING, f"another process is working in {run_dir}"
    if finished:
        return State.FINISHED, ""
    job = SlurmJob.of_run(run_dir)
    if job is not None and (state := queued_jobs().get(job.number)) is not None:
        return State.RUNNING, f"its SLURM job {job.number} is {state.lower()}"
    failure = read_failure_note(run_dir)
    if failure is not None:
        return State.FAILED, failure
    checkpoints = (run_dir / "checkpoints" / f"{name}.ckpt" for name in ("last", "critic"))
    return (State.INTERRUPTED if any(path.exists() for path in checkpoints) else State.MISSING), ""
