"""The few values a configuration derives from others."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from diffplan.config.settings import ablation_label, plan_identity, run_identity, short_hash
from diffplan.errors import CheckpointError
from diffplan.files import status_of


def register_resolvers() -> None:
    """Makes the resolvers known to OmegaConf; safe to call again."""
    resolvers: dict[str, Callable[..., Any]] = {
        "planned_action_dim": _planned_action_dim,
        "transition_dim": _transition_dim,
        "config_hash": _config_hash,
        "plan_hash": _plan_hash,
        "ablation": _ablation,
        "run_folder": _run_folder,
    }
    for name, resolver in resolvers.items():
        OmegaConf.register_new_resolver(name, resolver, replace=True)


def checkpoint_file(checkpoint: str, name: str = "last") -> Path:
    """Finds the checkpoint meant by a file or by a run's folder.

    Args:
        checkpoint: The file or the folder.
        name: Which one of a folder: ``last`` for the denoiser, ``critic``.

    Raises:
        DiffplanError: there is none, or the system does not tell.
    """
    if not checkpoint:
        raise CheckpointError("checkpoint=... must be given: a run's folder or a .ckpt file.")
    file = path = Path(checkpoint)
    status = status_of(path)
    if status is not None and stat.S_ISDIR(status.st_mode):
        if status_of(path / "model_index.json") is not None:
            raise CheckpointError(
                f"{path} is an exported model; make a run of it with: diffplan import --from {path} "
                "--to outputs/imported"
            )
        file = path / "checkpoints" / f"{name}.ckpt"
        status = status_of(file)
    if status is None or not stat.S_ISREG(status.st_mode):
        raise CheckpointError(f"there is no checkpoint at {file}; give a run's folder or a .ckpt file.")
    return file


def _run_folder(checkpoint: str) -> str:
    return str(checkpoint_file(checkpoint).resolve().parent.parent)


def _planned_action_dim(plan_actions: bool, action_dim: int) -> int:
    return action_dim if plan_actions else 0


def _transition_dim(plan_actions: bool, action_dim: int, observation_dim: int) -> int:
    return _planned_action_dim(plan_actions, action_dim) + observation_dim


def _config_hash(*, _root_: DictConfig) -> str:
    """Eight letters that are equal for runs that would train the same weights."""
    return short_hash(run_identity(_root_))


def _plan_hash(*, _root_: DictConfig) -> str:
    """Eight letters that are equal for evaluations of one checkpoint with equal settings."""
    return short_hash(plan_identity(_root_, checkpoint_file(_root_.checkpoint).name))


def _ablation() -> str:
    return ablation_label(HydraConfig.get().overrides.task) if HydraConfig.initialized() else "default"
