"""Sweeps that launch only unfinished cells, and that stop together with the process that launched them."""

import logging
import math
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from diffplan.errors import ConfigError, LockedError, SweepError
from diffplan.run.stop_signal import STOPPED
from diffplan.sweep.cell import Cell, State, is_busy, look_at_cell, remove_failure_note, words_of_cells
from diffplan.sweep.launcher_watch import watched_launcher
from diffplan.sweep.sweep_file import MULTIRUN_FLAGS

_LONGEST_SAVE_SECONDS = 60.0
_MOST_CELLS = 10_000
_SETTINGS = "sweep_settings"
_BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
_SUBMITIT = "hydra_plugins.hydra_submitit_launcher"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SweepSettings:
    """What a sweep needs to know from its command.

    Attributes:
        is_finished: Whether the run that a config describes is finished.
        show: Lists the cells instead of launching any; None launches.
    """

    is_finished: Callable[[DictConfig], bool]
    show: Callable[[Sequence[Cell]], None] | None = None


def with_sweep_settings(function: TaskFunction, settings: SweepSettings) -> TaskFunction:
    """Attaches settings to the function that ``hydra.main`` gets; Hydra hands the same function to the sweeper."""
    vars(function)[_SETTINGS] = settings
    return function


class ResumingSweeper(Sweeper):
    """Hydra's grid sweeper that launches only the unfinished cells.

    A failing cell does not stop the others, whatever the launcher. At the end the sweeper lists what failed and why.

    Hydra builds a sweeper from its config alone. What only the command knows comes with the task function, see
    ``with_sweep_settings``.

    Args:
        max_batch_size: Number of cells that the launcher gets at once; None for all.
        params: Settings of the grid in the config, beside those on the command line.

    Raises:
        SweepError: at least one cell failed.
    """

    def __init__(self, max_batch_size: int | None = None, params: dict[str, str] | None = None) -> None:
        self.max_batch_size = max_batch_size
        self.params = params or {}
        self._num_launched = 0

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config, self.hydra_context = config, hydra_context
        self.settings: SweepSettings = vars(task_function)[_SETTINGS]
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> None:
        if self.max_batch_size is not None and self.max_batch_size < 1:
            raise ConfigError(f"hydra.sweeper.max_batch_size must be at least 1, got {self.max_batch_size}.")
        # Imported here, because Hydra executes this module again when it searches for plugins.
        from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

        grid = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        overrides = OverridesParser.create(self.hydra_context.config_loader).parse_overrides(grid)
        _check_number(overrides)
        batches = BasicSweeper.split_arguments(overrides, self.max_batch_size)
        # All cells are composed before the first is launched, so that a mistake in the last one is reported at once.
        cells = [[self._look(overrides) for overrides in batch] for batch in batches]
        flat = [cell for batch in cells for cell in batch]
        if self.settings.show is not None:
            self.settings.show(flat)
            return
        _report_skipped(flat)
        if any(_is_left(cell) for cell in flat):
            self._save_config()
        for cell in flat:
            if cell.state == State.FAILED and cell.run_dir is not None:
                remove_failure_note(cell.run_dir)
        ended: list[Cell] = []
        for batch in cells:
            left = [cell for cell in batch if _is_left(cell)]
            ended += [cell for cell in batch if cell not in left]
            ended += self._launch(left) if left else []
        _conclude(ended)

    def _look(self, overrides: Sequence[str]) -> Cell:
        composed = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
        return look_at_cell(overrides, composed, self.settings.is_finished)

    def _save_config(self) -> None:
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")

    def _launch(self, cells: list[Cell]) -> list[Cell]:
        """Launches cells and returns them with their new states."""
        words, first = [list(cell.overrides) for cell in cells], self._num_launched
        self._num_launched += len(cells)
        try:
            run_dirs = [cell.run_dir for cell in cells if cell.run_dir is not None]
            with passing_on_sigterm(run_dirs), watched_launcher():
                returns = self.launcher.launch(words, initial_job_idx=first)
        except BrokenProcessPool:
            if len(cells) == 1:
                return [replace(cells[0], state=State.FAILED, reason="its process was killed")]
            # A killed process ends its whole pool. Launched one after another, the cells show which one it was.
            now = [self._again(cell) for cell in cells]
            left = [cell for cell in now if cell.state not in (State.FINISHED, State.FAILED)]
            logger.warning("a process of the sweep was killed; %d cells continue, one after another", len(left))
            return [c for c in now if c not in left] + [ended for cell in left for ended in self._launch([cell])]
        except Exception as error:
            # The launcher lost one job and reports nothing about the others, so their folders are read.
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            return [self._again(cell, f"the launcher stopped: {reason}") for cell in cells]
        return [_after(cell, job) for cell, job in zip(cells, returns, strict=True)]

    def _again(self, cell: Cell, reason: str = "") -> Cell:
        """Looks at a cell again; a cell that did not end has failed for ``reason``."""
        now = self._look(cell.overrides)
        if reason and now.state in (State.INTERRUPTED, State.MISSING):
            return replace(now, state=State.FAILED, reason=reason)
        return now


def _check_number(overrides: Sequence[Override]) -> None:
    """Refuses a grid whose cells alone would fill the memory.

    Raises:
        ConfigError: it has too many cells.
    """
    cells = 1
    for override in overrides:
        values: Any = override.value()
        if isinstance(values, RangeSweep) and values.start is not None and values.stop is not None:
            if values.step == 0:
                raise ConfigError(f"{override.input_line} has steps of 0.")
            cells *= max(math.ceil((values.stop - values.start) / values.step), 1)
        elif isinstance(values, ChoiceSweep):
            cells *= max(len(values.list), 1)
    if cells > _MOST_CELLS:
        raise ConfigError(f"a sweep may have {_MOST_CELLS} cells, and this one has {cells}.")


def _is_left(cell: Cell) -> bool:
    return cell.config is not None and cell.state not in (State.FINISHED, State.RUNNING)


def register_plugins(words: Sequence[str]) -> None:
    """Makes sweeps launch only unfinished cells, and makes sweeps on a cluster wait for every job.

    Hydra accepts plugins from two packages of its own only, so ours take the names of the plugins that they extend.

    Args:
        words: The command line.

    Raises:
        ConfigError: the SLURM launcher is asked for and is not installed.
    """
    plugins = Plugins.instance().class_name_to_class
    plugins[_BASIC_SWEEPER] = ResumingSweeper
    if not set(words) & set(MULTIRUN_FLAGS):
        return
    if find_spec(_SUBMITIT) is None:
        asked = [word for word in words if word.startswith(("hydra/launcher=slurm", "hydra/launcher=submitit"))]
        if asked:
            raise ConfigError(f"{asked[0]} is not installed here; run pip install 'diffplan[slurm]'.")
        return
    # Imported here, because the plugin is optional.
    from diffplan.sweep.slurm_launcher import SlurmLauncher

    plugins[f"{_SUBMITIT}.submitit_launcher.SlurmLauncher"] = SlurmLauncher


@contextmanager
def passing_on_sigterm(run_dirs: Sequence[Path]) -> Iterator[None]:
    """Sends SIGTERM on to the processes of running cells and waits until they have saved their checkpoints.

    A cell that runs in this process handles the signal itself. Outside the main thread nothing changes.

    Args:
        run_dirs: Run folders of the cells.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        running = [run_dir for run_dir in run_dirs if is_busy(run_dir)]
        children = multiprocessing.active_children()
        for child in children:
            child.terminate()
        give_up = time.monotonic() + _LONGEST_SAVE_SECONDS
        while children and any(is_busy(run_dir) for run_dir in running) and time.monotonic() < give_up:
            time.sleep(0.1)
        raise SystemExit(STOPPED)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _after(cell: Cell, job: JobReturn) -> Cell:
    if job.status == JobStatus.COMPLETED:
        return replace(cell, state=State.FINISHED, reason="")
    error = job._return_value
    state = State.RUNNING if isinstance(error, LockedError) else State.FAILED
    return replace(cell, state=state, reason=str(error))


def _report_skipped(cells: Sequence[Cell]) -> None:
    finished = sum(cell.state == State.FINISHED for cell in cells)
    if finished:
        logger.info("%d of %d cells are finished and are not launched again", finished, len(cells))
    for cell, words in zip(cells, words_of_cells(cells)[1], strict=True):
        if cell.state == State.RUNNING:
            logger.info("%s: %s", words, cell.reason)


def _conclude(cells: Sequence[Cell]) -> None:
    """Reports which cells are finished and which are not.

    Raises:
        SweepError: at least one cell failed.
    """
    finished = sum(cell.state == State.FINISHED for cell in cells)
    lines = [f"{finished} of {len(cells)} cells finished"]
    if finished < len(cells):
        lines[0] += f"; the same command runs the {len(cells) - finished} that are missing"
    for cell, words in zip(cells, words_of_cells(cells)[1], strict=True):
        if cell.state != State.FINISHED:
            lines.append(f"  {cell.state}: {words or 'the only cell'}: {cell.reason}")
    if any(cell.state == State.FAILED for cell in cells):
        raise SweepError("\n".join(lines))
    for line in lines:
        logger.info(line)
