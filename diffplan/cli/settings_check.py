"""Checks all settings of a command before its run folder is made and before torch is imported."""

import errno
import os
from importlib import import_module
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from diffplan.config.checkpoint_settings import checkpoint_settings, planning_settings, size_settings, usable
from diffplan.config.resolvers import checkpoint_file
from diffplan.config.settings import COMPARING, GUIDANCE, TRAIN
from diffplan.config.stages import check_stages
from diffplan.config.stored_settings import plain_settings, typed
from diffplan.config.task import Task
from diffplan.errors import CheckpointError, ConfigError, DiffplanError, system_refusal
from diffplan.sweep.cell import State, look_at_cell
from diffplan.terminal import printable


class SettingsCheck(Callback):
    """Ends a single run with one sentence if a setting is wrong. A sweep checks each of its cells itself."""

    def on_run_start(self, config: DictConfig, *, config_name: str, **_: Any) -> None:
        """Checks the composed config; Hydra calls this before it makes the run's folder.

        Raises:
            SystemExit: a setting is wrong. Hydra would turn any other error into a warning.
        """
        try:
            check_settings(config, config_name)
            if config_name != TRAIN:
                _check_networks(config, config_name)
            _show_unwritable_run(config, config_name)
        except DiffplanError as error:
            raise SystemExit(printable(f"diffplan {config_name}: {error}")) from error


def _check_networks(config: DictConfig, command: str) -> None:
    """Builds what the command plans with: only reading all tensors of a checkpoint tells whether they are right.

    Raises:
        DiffplanError: it cannot be built. The command itself tells of errors of other kinds.
    """
    from diffplan.cli.plan import build_planners, load_networks
    from diffplan.run.checkpoint import read_checkpoint

    path = checkpoint_file(config.checkpoint)
    build: Any = build_planners if command == "plan" else load_networks
    try:
        build(_without_hydra(config), path, read_checkpoint(path))
    except Exception as error:
        for cause in (error, error.__cause__):
            if isinstance(cause, DiffplanError):
                raise cause from error


def _show_unwritable_run(config: DictConfig, command: str) -> None:
    """Shows a finished run whose folder cannot be written, because Hydra would write there before the command begins.

    Raises:
        SystemExit: the run was shown.
        ConfigError: it is not finished.
    """
    # The name of an evaluation's folder holds what was typed, which Hydra makes known only later.
    HydraConfig.instance().set_config(config)
    run_dir = Path(config.hydra.run.dir)
    if command in COMPARING or not run_dir.is_dir() or os.access(run_dir, os.W_OK):
        return
    from diffplan.report.run_summary import print_scores
    from diffplan.run.folder import RunDir

    cell = look_at_cell((), config, import_module(f"diffplan.cli.{command}").is_finished)
    result = None if cell.run_dir is None else RunDir(cell.run_dir).result()
    if cell.run_dir is None or result is None or cell.state != State.FINISHED:
        refused = OSError(errno.EROFS, "", str(run_dir))
        raise ConfigError(str(system_refusal(refused, {"paths.output_dir=...": run_dir})))
    print_scores(result.metrics, result.config["task"].get("paper_scores"), result.data)
    print(f"Open {cell.run_dir / 'index.html'}")
    raise SystemExit(0)


def check_settings(config: DictConfig, command: str) -> None:
    """Checks the settings of a command.

    Args:
        config: The composed config; it is not changed.
        command: ``train``, ``plan``, ``schedulers`` or ``guidance``.

    Raises:
        DiffplanError: a setting is wrong.
    """
    # `--help` does not wait for the type checker.
    from diffplan.config.memory import check_planning_memory
    from diffplan.config.validation import check_config, check_guide, check_horizon

    config = _without_hydra(config)
    trained: Any = None
    if command != TRAIN:
        check_config(config, command, needs_checkpoint=True)
        from diffplan.cli.plan import critic_file, take_from_checkpoint

        path = checkpoint_file(config.checkpoint)
        trained = checkpoint_settings(path)
        with usable(path):
            take_from_checkpoint(config, planning_settings(trained))
            trained = size_settings(trained)
        check_horizon(config.planner.get("horizon"), trained["backbone"])
        check_guide(config, critic_file(config.critic.path, path) is not None)
        _check_comparison(config, command)
    check_config(config, command)
    plain: Any = OmegaConf.to_container(config, resolve=True)
    if command == GUIDANCE:
        from diffplan.cli.guidance import grid

        plain["planner"]["num_candidates"] = max(count for _, count in grid(config))
    if command == TRAIN:
        check_stages(config)
        _check_kept_settings(plain)
    else:
        check_planning_memory(plain, trained)
    Task(**{key: value for key, value in plain["task"].items() if key != "_target_"})


def _without_hydra(config: DictConfig) -> DictConfig:
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def _check_kept_settings(plain: dict[str, Any]) -> None:
    """Refuses settings that a checkpoint keeps and that no command would take from it afterwards."""
    task = plain["task"]
    try:
        for key, value in plain.items():
            plain_settings(value, key)
        for key, name in {"name": plain["name"], "task.name": task["name"], "task.env_id": task["env_id"]}.items():
            typed(name, str, key)
    except CheckpointError as error:
        raise ConfigError(str(error)) from error


def _check_comparison(config: DictConfig, command: str) -> None:
    """Refuses to play without a guide beside a planner that follows none, or in a command that does so itself."""
    if not config.compare_without_guide:
        return
    if command in COMPARING:
        raise ConfigError(f"compare_without_guide is a setting of diffplan plan; leave it out of diffplan {command}.")
    if "guide" not in config.planner or config.guide._target_.endswith(".NoGuide"):
        raise ConfigError("compare_without_guide needs a planner with a guide, and this one follows none.")
