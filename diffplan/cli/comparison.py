"""What the commands share that play one trained model with many settings: every cell once, then one table."""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from omegaconf import DictConfig, OmegaConf

from diffplan.cli.command import open_loggers
from diffplan.cli.plan import critic_file, load_networks, take_from_checkpoint
from diffplan.config.checkpoint_settings import planning_settings, usable
from diffplan.config.resolvers import checkpoint_file
from diffplan.config.settings import short_hash
from diffplan.errors import ConfigError, DiffplanError

if TYPE_CHECKING:
    import pandas as pd

    from diffplan.method.critic import TrajectoryCritic
    from diffplan.method.model import TrajectoryModel
    from diffplan.planner.base import AbstractPlanner
    from diffplan.report.cell import AbstractCell
    from diffplan.run.evaluation import Evaluation

logger = logging.getLogger(__name__)
CellT = TypeVar("CellT", bound="AbstractCell")


@dataclass(frozen=True)
class Wanted:
    """A cell that a command plays.

    Attributes:
        protocol: ``single_task`` or ``multi2d``.
        name: Names the cell among those of its protocol; part of its file's name.
        config: The settings to plan with.
        facts: What the command must know of it.
    """

    protocol: str
    name: str
    config: DictConfig
    facts: tuple[Any, ...] = ()


class AbstractComparison(ABC, Generic[CellT]):
    """Plays a trained model with many settings on equal seeds, keeps every finished cell, and shows them together.

    Args:
        verb: Name of the command; stem of its files and of what it logs.
        config: Composed from the command's config. What the checkpoint decides is filled in.

    Raises:
        DiffplanError: the checkpoint cannot be used, or a setting is wrong.
    """

    def __init__(self, verb: str, config: DictConfig) -> None:
        from diffplan.run.checkpoint import read_checkpoint

        self.verb, self.config = verb, config
        self.path = checkpoint_file(config.checkpoint)
        self.checkpoint = read_checkpoint(self.path)
        config.paths.run_dir = str(config.paths.run_dir)
        with usable(self.path):
            take_from_checkpoint(config, planning_settings(self.checkpoint["diffplan"]["config"]))
        self._check_config()
        self._wanted = self.wanted()

    def run(self) -> dict[str, float]:
        """Plays the cells that are missing, then writes, logs and prints all of them.

        Returns:
            Mean score by ``<protocol>/<name of the cell>``.

        Raises:
            DiffplanError: no cell can be played.
        """
        from diffplan.run.folder import RunDir

        with RunDir(Path(self.config.paths.run_dir)) as run_dir:
            resolved: dict[str, Any] = OmegaConf.to_container(self.config, resolve=True)  # type: ignore[assignment]
            loggers = open_loggers(self.config, resolved)
            cells, refused = self._play(run_dir.path / "cells")
            if not cells:
                raise ConfigError(self.nothing_played(refused))
            files = self.write(cells, refused, run_dir.path)
            self._log(loggers, cells, files)
        print(files["markdown"].read_text())
        print(f"Open {', '.join(str(file) for file in files.values())}")
        for run_logger in loggers:
            print(run_logger.where_to_look())
        return {f"{cell.protocol}/{cell.name}": cell.mean for cell in cells}

    @abstractmethod
    def wanted(self) -> list[Wanted]:
        """Lists all cells, in the order in which they are played."""

    @abstractmethod
    def read(self, file: Path, key: str) -> CellT | None:
        """Reads a cell that was played before; None if it is not there or must be played again."""

    @abstractmethod
    def measure(self, wanted: Wanted, planner: "AbstractPlanner", key: str) -> CellT:
        """Plays a cell."""

    def check(self, config: DictConfig, model: "TrajectoryModel") -> None:
        """Refuses settings that a planner would refuse in less clear words."""

    @abstractmethod
    def nothing_played(self, refused: Sequence[tuple[Wanted, str]]) -> str:
        """Says in a sentence that no cell could be played, and why."""

    @abstractmethod
    def table(self, cells: Sequence[CellT]) -> "pd.DataFrame":
        """Returns one row a cell."""

    @abstractmethod
    def write(self, cells: Sequence[CellT], refused: Sequence[tuple[Wanted, str]], folder: Path) -> dict[str, Path]:
        """Writes the files ``markdown``, ``csv``, ``page`` and a picture for each protocol; returns them by name."""

    def evaluate(self, wanted: Wanted, planner: "AbstractPlanner", **options: Any) -> "Evaluation":
        """Plays the episodes of a cell; every cell has the same seeds."""
        from diffplan.run.evaluation import evaluate

        task, seeds = wanted.config.task, self.seeds
        return evaluate(task.env_id, planner, seeds, wanted.protocol, task.reference_min, task.reference_max, **options)

    @property
    def seeds(self) -> range:
        """The seed of each episode."""
        return range(self.config.first_seed, self.config.first_seed + self.config.num_episodes)

    @property
    def title(self) -> str:
        """The model that plans."""
        return f"{self.config.task.name}, {self.config.name}, seed {self.config.seed}"

    def _check_config(self) -> None:
        import torch

        from diffplan.config.validation import check_config

        check_config(self.config, self.verb)
        torch.set_num_threads(self.config.num_threads or torch.get_num_threads())

    def _play(self, folder: Path) -> tuple[list[CellT], list[tuple[Wanted, str]]]:
        """Plays the cells that are missing; returns all cells, and why some cannot be played."""
        from diffplan.run.result import FileIdentity

        model, critic = load_networks(self.config, self.path, self.checkpoint)
        used = (self.path, critic_file(self.config.critic.path, self.path))
        weights = [FileIdentity.of(file).sha256 for file in used if file is not None]
        cells, refused, played, began = [], [], 0, time.monotonic()
        for number, wanted in enumerate(self._wanted, start=1):
            key = _key(wanted, weights)
            file = folder / f"{wanted.protocol}-{wanted.name}-{key}.json"
            cell = self.read(file, key)
            if cell is None:
                try:
                    planner = self._build(wanted.config, model, critic)
                except DiffplanError as error:
                    refused.append((wanted, str(error)))
                    continue
                cell = self.measure(wanted, planner, key)
                cell.write(file)
                played += 1
            cells.append(cell)
            left = (len(self._wanted) - number) * (time.monotonic() - began) / max(played, 1) / 60
            logger.info(
                "%s, %s: %s (%d of %d, at most %.0f min left)",
                wanted.name, wanted.protocol, cell.score_text, number, len(self._wanted), left,
            )  # fmt: skip
        return cells, refused

    def _build(
        self, config: DictConfig, model: "TrajectoryModel", critic: "TrajectoryCritic | None"
    ) -> "AbstractPlanner":
        from hydra.errors import InstantiationException
        from hydra.utils import instantiate

        self.check(config, model)
        try:
            return instantiate(config.planner)(model, critic)
        except InstantiationException as error:
            raise error.__cause__ if isinstance(error.__cause__, DiffplanError) else error from error

    def _log(self, loggers: Sequence[Any], cells: Sequence[CellT], files: dict[str, Path]) -> None:
        table, step = self.table(cells), self.checkpoint["global_step"]
        for run_logger in loggers:
            run_logger.log_table(f"{self.verb}/cells", list(table), table.to_numpy(dtype=object).tolist(), step)
            run_logger.log_page(f"{self.verb}/charts", files["page"], step)
            for protocol in table["protocol"].unique():
                run_logger.log_media(f"{self.verb}/{protocol}", files[protocol], step)
            run_logger.finalize("success")


def _key(wanted: Wanted, weights: list[str]) -> str:
    """Eight letters for everything that a cell's scores depend on."""
    config = wanted.config
    planner = OmegaConf.to_container(config.planner, resolve=True)
    seeds = [config.first_seed, config.num_episodes]
    task = [config.task.env_id, config.task.reference_min, config.task.reference_max]
    return short_hash([planner, seeds, wanted.protocol, task, weights])
