"""Checks all settings of a command before its run folder is made and before torch is imported."""

from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from diffplan.config.checkpoint_settings import checkpoint_settings, planning_settings, size_settings, usable
from diffplan.config.resolvers import checkpoint_file
from diffplan.config.settings import TRAIN
from diffplan.config.stages import check_stages
from diffplan.config.task import Task
from diffplan.errors import DiffplanError
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
        except DiffplanError as error:
            raise SystemExit(printable(f"diffplan {config_name}: {error}")) from error


def check_settings(config: DictConfig, command: str) -> None:
    """Checks the settings of a command.

    Args:
        config: The composed config; it is not changed.
        command: ``train``, ``plan`` or ``schedulers``.

    Raises:
        DiffplanError: a setting is wrong.
    """
    # `--help` does not wait for the type checker.
    from diffplan.config.memory import check_planning_memory
    from diffplan.config.validation import check_config, check_guide, check_horizon

    config = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
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
    check_config(config, command)
    plain: Any = OmegaConf.to_container(config, resolve=True)
    if command == TRAIN:
        check_stages(config)
    else:
        check_planning_memory(plain, trained)
    Task(**{key: value for key, value in plain["task"].items() if key != "_target_"})
