"""The few values a configuration derives from others."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from diffplan.config.first_names import with_first_names
from diffplan.errors import CheckpointError

# What a run's numbers depend on. Where it writes, how it logs and how often it looks are not part of its identity.
_IDENTITY_GROUPS = ("seed", "module", "datamodule", "loss", "critic", "stages", "denoiser")
_IDENTITY_TRAINER_KEYS = (
    "max_steps",
    "accumulate_grad_batches",
    "precision",
    "gradient_clip_val",
    "devices",
    "num_nodes",
)
_UNNAMED_KEYS = (
    "task",
    "seed",
    "name",
    "experiment",
    "ablation",
    "group",
    "tags",
    "project",
    "job_type",
    "resume",
    "checkpoint",
    "num_threads",
    "sweep",
    "objective",
    "source.path",
)
# What an evaluation's numbers do not depend on; the model's task, name and seed are its checkpoint's.
_NOT_PLANNED = (
    "task", "seed", "name", "logger", "paths", "hydra", "checkpoint", "resume", "num_threads", "project", "ablation",
    "group", "job_type", "tags", "sweep", "objective",
)  # fmt: skip
# A task admits one of these, so choosing it changes nothing.
_UNNAMED_CHOICES = ("planner=guided_planner", "planner=waypoint_planner")
_UNNAMED_PREFIXES = ("paths", "logger", "trainer", "callbacks", "hydra", "debug")


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
        CheckpointError: there is none.
    """
    path = Path(checkpoint)
    file = path / "checkpoints" / f"{name}.ckpt" if path.is_dir() else path
    if not file.is_file():
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
    trainer = _root_.trainer
    identity: dict[str, Any] = {key: trainer[key] for key in _IDENTITY_TRAINER_KEYS}
    for key in _IDENTITY_GROUPS:
        node = _root_[key]
        identity[key] = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    identity["datamodule"]["source"].pop("data_dir", None)
    text = json.dumps(with_first_names(identity), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _plan_hash(*, _root_: DictConfig) -> str:
    """Eight letters that are equal for evaluations of one checkpoint with equal settings.

    What refers to the task is hashed as it is written, for the checkpoint decides it.
    """
    everything: Any = OmegaConf.to_container(_root_, resolve=False)
    settings = {key: value for key, value in everything.items() if key not in _NOT_PLANNED}
    # A run keeps checkpoints of several steps in one folder.
    settings["checkpoint"] = checkpoint_file(_root_.checkpoint).name
    return hashlib.sha256(json.dumps(with_first_names(settings), sort_keys=True).encode()).hexdigest()[:8]


def _ablation() -> str:
    """Names what a run changes beside task and seed: ``window.horizon=64,optimizer.lr=0.001``, or ``default``."""
    if not HydraConfig.initialized():
        return "default"
    changes = []
    for override in HydraConfig.get().overrides.task:
        key = override.split("=", 1)[0].lstrip("+~")
        if override not in _UNNAMED_CHOICES and key not in _UNNAMED_KEYS and key.split(".")[0] not in _UNNAMED_PREFIXES:
            changes.append(override.lstrip("+~"))
    text = re.sub(r"[^\w=.,+-]", "-", ",".join(sorted(changes))) or "default"
    # It names folders and W&B groups, which end at 128 letters.
    return text if len(text) <= 100 else f"{text[:91]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
