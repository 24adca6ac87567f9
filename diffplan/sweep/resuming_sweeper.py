import logging
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from diffplan.errors import LockedError, SweepError
from diffplan.sweep.cell import Cell, look_at_cell, words_of_cells
from diffplan.sweep.failure_note import remove_failure_note
from diffplan.sweep.local_processes import passing_on_sigterm

_BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"

logger = logging.getLogger(__name__)


class ResumingSweeper(Sweeper):
    """Hydra's grid of settings, of which only the cells that are not finished are launched.

    A cell that fails stops no other one, whatever the launcher. The end says which failed and why.

    Args:
        max_batch_size: Cells handed to the launcher at once; None hands over all.
        params: Settings of the grid beside the command line's.

    Attributes:
        is_finished: Whether the run that a config describes needs no launch.
        show: Lists the cells instead of launching any; None launches.

    Raises:
        SweepError: cells failed.
    """

    # Hydra builds the sweeper from its own settings alone, so a command leaves its own here.
    is_finished: ClassVar[Callable[[DictConfig], bool]]
    show: ClassVar[Callable[[Sequence[Cell]], None] | None] = None

    def __init__(self, max_batch_size: int | None = None, params: dict[str, str] | None = None) -> None:
        self.max_batch_size = max_batch_size
        self.params = params or {}
        self._num_launched = 0

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Takes what Hydra has composed, and its launcher."""
        self.config, self.hydra_context = config, hydra_context
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> None:
        """Launches what is missing; see the class."""
        # Hydra runs this module anew when it looks for plugins, so it is not to be imported before.
        from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

        grid = [*(f"{key}={value}" for key, value in self.params.items()), *arguments]
        overrides = OverridesParser.create(self.hydra_context.config_loader).parse_overrides(grid)
        batches = BasicSweeper.split_arguments(overrides, self.max_batch_size)
        # Everything is composed before anything is launched: a mistake in the grid's last cell shows at once.
        cells = [[self._look(overrides) for overrides in batch] for batch in batches]
        flat = [cell for batch in cells for cell in batch]
        show = type(self).show
        if show is not None:
            show(flat)
            return
        self._save_config()
        _say_what_is_left_out(flat)
        for cell in flat:
            if cell.state == "failed" and cell.run_dir is not None:
                remove_failure_note(cell.run_dir)
        ended: list[Cell] = []
        for batch in cells:
            left = [cell for cell in batch if cell.config is not None and cell.state not in ("finished", "busy")]
            ended += [cell for cell in batch if cell not in left]
            ended += self._launch(left) if left else []
        _conclude(ended)

    def _look(self, overrides: Sequence[str]) -> Cell:
        composed = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
        return look_at_cell(overrides, composed, type(self).is_finished)

    def _save_config(self) -> None:
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")

    def _launch(self, cells: list[Cell]) -> list[Cell]:
        """Hands cells to the launcher; returns them as they ended."""
        words, first = [list(cell.overrides) for cell in cells], self._num_launched
        self._num_launched += len(cells)
        try:
            with passing_on_sigterm([cell.run_dir for cell in cells if cell.run_dir is not None]):
                returns = self.launcher.launch(words, initial_job_idx=first)
        except BrokenProcessPool:
            if len(cells) == 1:
                return [replace(cells[0], state="failed", reason="its process was killed")]
            # One process that dies takes its neighbours with it: alone, each shows which it was.
            now = [self._again(cell) for cell in cells]
            left = [cell for cell in now if cell.state not in ("finished", "failed")]
            logger.warning("a process of the sweep was killed; %d cells go on, one after another", len(left))
            return [c for c in now if c not in left] + [ended for cell in left for ended in self._launch([cell])]
        except Exception as error:
            # A launcher that loses a job of many says nothing of the others: their folders do.
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            return [self._again(cell, f"the launcher stopped: {reason}") for cell in cells]
        return [_after(cell, job) for cell, job in zip(cells, returns, strict=True)]

    def _again(self, cell: Cell, reason: str = "") -> Cell:
        """The cell as it stands now; ``reason`` is what is known of it if it has not ended."""
        now = self._look(cell.overrides)
        if reason and now.state in ("started", "missing"):
            return replace(now, state="failed", reason=reason)
        return now


def use_resuming_sweeper(
    is_finished: Callable[[DictConfig], bool], show: Callable[[Sequence[Cell]], None] | None = None
) -> None:
    """Makes multiruns launch only what is not finished, where no other sweeper is chosen.

    Args:
        is_finished: Whether the run that a config describes needs no launch.
        show: Lists the cells instead of launching any.
    """
    ResumingSweeper.is_finished, ResumingSweeper.show = is_finished, show
    # Hydra takes sweepers from its own two packages only, so this one answers to the name of the one it extends.
    Plugins.instance().class_name_to_class[_BASIC_SWEEPER] = ResumingSweeper


def _after(cell: Cell, job: JobReturn) -> Cell:
    if job.status == JobStatus.COMPLETED:
        return replace(cell, state="finished", reason="")
    error = job._return_value
    state = "busy" if isinstance(error, LockedError) else "failed"
    return replace(cell, state=state, reason=str(error))


def _say_what_is_left_out(cells: Sequence[Cell]) -> None:
    finished = sum(cell.state == "finished" for cell in cells)
    if finished:
        logger.info("%d of %d cells are finished and are not launched again", finished, len(cells))
    for cell, words in zip(cells, words_of_cells(cells)[1], strict=True):
        if cell.state == "busy":
            logger.info("%s: %s", words, cell.reason)


def _conclude(cells: Sequence[Cell]) -> None:
    """Says what is finished and what is not.

    Raises:
        SweepError: cells failed.
    """
    finished = sum(cell.state == "finished" for cell in cells)
    lines = [f"{finished} of {len(cells)} cells finished"]
    if finished < len(cells):
        lines[0] += f"; the same command runs the {len(cells) - finished} that are missing"
    for cell, words in zip(cells, words_of_cells(cells)[1], strict=True):
        if cell.state != "finished":
            lines.append(f"  {cell.state}: {words or 'the only cell'}: {cell.reason}")
    if any(cell.state == "failed" for cell in cells):
        raise SweepError("\n".join(lines))
    for line in lines:
        logger.info(line)
