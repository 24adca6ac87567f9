"""Reading checkpoints safely, and rebuilding what they hold from their path alone."""

import inspect
import pickle
import re
from pathlib import Path
from typing import Any

import torch
from diffusers import SchedulerMixin
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from diffplan.config.first_names import with_present_names
from diffplan.config.resolvers import register_resolvers
from diffplan.config.task import Task
from diffplan.errors import CheckpointError
from diffplan.method.conditioning import AbstractConditioning
from diffplan.method.critic import ReturnTarget
from diffplan.method.network.base import AbstractBackbone
from diffplan.method.network.value_unet import ValueUnet
from diffplan.method.normalizer import AbstractNormalizer
from diffplan.method.objective import DenoisingLoss, ValueLoss
from diffplan.training.base import AbstractTrajectoryModule
from diffplan.training.diffuser_module import DiffuserModule
from diffplan.training.exponential_moving_average import ExponentialMovingAverage
from diffplan.training.value_module import ValueModule

# What a checkpoint may ask to be built. Its config is data from outside: anything else in it is refused by name. The
# packages alone would not do, since every module reaches others through its imports (``....temporal_unet.torch.save``).
_ALLOWED_PACKAGES = ("diffplan.", "diffusers.", "torch.optim.")
_ALLOWED_CLASSES = (
    AbstractTrajectoryModule,
    AbstractBackbone,
    ValueUnet,
    SchedulerMixin,
    AbstractConditioning,
    DenoisingLoss,
    ValueLoss,
    ReturnTarget,
    AbstractNormalizer,
    Optimizer,
    LRScheduler,
    ExponentialMovingAverage,
    Task,
)
_BUILT_PARTS = ("module", "critic", "scheduler", "task")
# Learning-rate schedules that are functions.
_SCHEDULE_FUNCTIONS = "diffusers.optimization"


def read_checkpoint(path: Path | str) -> dict[str, Any]:
    """Loads a checkpoint without running any code that might be in it.

    Raises:
        CheckpointError: no file, not a checkpoint of this project, truncated, or one that would execute code.
    """
    path = Path(path)
    checkpoint = read_tensors(path)
    origin = checkpoint.get("diffplan") if isinstance(checkpoint, dict) else None
    if not isinstance(origin, dict) or not isinstance(origin.get("config"), dict) or "state_dict" not in checkpoint:
        raise CheckpointError(f"{path} is no checkpoint of diffplan: it has no 'diffplan' entry with its config.")
    return checkpoint


def read_tensors(path: Path) -> Any:
    """Loads what ``torch.save`` wrote, as long as it is tensors and plain values.

    Raises:
        CheckpointError: no file, truncated, or one that would execute code; what it asks for is named.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint at {path}.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        raise CheckpointError(
            f"{path} holds pickled code ({asked.group(1) if asked else _reason(error)}) and is not loaded."
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{path} is truncated or not a checkpoint: {_reason(error)}.") from error


def checkpoint_config(checkpoint: dict[str, Any]) -> DictConfig:
    """The resolved config the checkpoint was trained with, fit to be built from.

    Raises:
        CheckpointError: what planning builds (model, scheduler, task) names something that is no part of a model.
    """
    config: dict[str, Any] = with_present_names(checkpoint["diffplan"]["config"])
    for part in _BUILT_PARTS:
        _refuse_foreign_targets(config.get(part))
    return OmegaConf.create(config)


def load_module(path: Path | str) -> DiffuserModule:
    """Rebuilds a trained denoiser from its checkpoint's path alone, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: it cannot be read, names something that may not be built, or its weights do not fit its config.
    """
    module = _load(path, "module")
    if not isinstance(module, DiffuserModule):
        raise CheckpointError(f"{path} holds a critic where a denoiser is needed.")
    return module


def load_critic(path: Path | str) -> ValueModule:
    """Rebuilds a trained critic from its checkpoint's path alone, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: it cannot be read, names something that may not be built, or its weights do not fit its config.
    """
    module = _load(path, "critic")
    if not isinstance(module, ValueModule):
        raise CheckpointError(f"{path} holds a denoiser where a critic is needed.")
    return module


def _load(path: Path | str, wanted: str) -> AbstractTrajectoryModule:
    checkpoint = read_checkpoint(path)
    # What a checkpoint holds is told by its weights: only a critic has a range of returns.
    held = "critic" if "value_offset" in checkpoint["state_dict"] else "module"
    register_resolvers()
    try:
        config = checkpoint_config(checkpoint)
        node = config["critic"]["module"] if held == "critic" else config["module"]
        module = instantiate({**node, "compile": False})
        if held == wanted:
            module.load_state_dict(checkpoint["state_dict"])
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(f"the weights in {path} do not fit its config: {_reason(error)}.") from error
    return module.eval()


def _refuse_foreign_targets(node: Any) -> None:
    if isinstance(node, dict):
        if "_target_" in node and not _may_be_built(node["_target_"]):
            raise CheckpointError(
                f"the checkpoint asks for {node['_target_']!r} to be called, which is no part of a model."
            )
        for value in node.values():
            _refuse_foreign_targets(value)
    elif isinstance(node, list):
        for value in node:
            _refuse_foreign_targets(value)


def _may_be_built(target: Any) -> bool:
    if not isinstance(target, str) or not target.startswith(_ALLOWED_PACKAGES):
        return False
    try:
        found = get_object(target)
    except Exception:
        # Whatever keeps it from being found, it is not one of the classes below.
        return False
    if inspect.isfunction(found):
        return found.__module__ == _SCHEDULE_FUNCTIONS
    return inspect.isclass(found) and issubclass(found, _ALLOWED_CLASSES)


def _reason(error: BaseException) -> str:
    """The first sentence of an error's message, with the line after it where it only announces that."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    text = " ".join(lines[: 2 if lines[0].endswith(":") else 1])
    return text.split(". ")[0].rstrip(".:")
