"""Reading checkpoints safely, and rebuilding what they hold from their path alone."""

import pickle
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from diffplan.errors import CheckpointError
from diffplan.module import DiffuserModule
from diffplan.resolvers import register_resolvers

# What a checkpoint may ask to be built. Its config is data from outside: anything else in it is refused by name.
_ALLOWED_TARGETS = (
    "diffplan.module.",
    "diffplan.backbone.",
    "diffplan.normalizer.",
    "diffplan.conditioning.",
    "diffplan.loss.",
    "diffusers.",
    "torch.optim.",
)


def read_checkpoint(path: Path | str) -> dict[str, Any]:
    """Loads a checkpoint without running any code that might be in it.

    Raises:
        CheckpointError: no file, not a checkpoint of this project, truncated, or one that would execute code.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint at {path}.")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path} holds pickled code and is not loaded: {_first_line(error)}") from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{path} is truncated or not a checkpoint: {_first_line(error)}") from error
    if not isinstance(checkpoint, dict) or "diffplan" not in checkpoint or "state_dict" not in checkpoint:
        raise CheckpointError(f"{path} is no checkpoint of diffplan: it has no 'diffplan' entry with its config.")
    return checkpoint


def checkpoint_config(checkpoint: dict[str, Any]) -> DictConfig:
    """The resolved config the checkpoint was trained with."""
    return OmegaConf.create(checkpoint["diffplan"]["config"])


def load_module(path: Path | str) -> DiffuserModule:
    """Rebuilds a trained module from its checkpoint's path alone, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: it cannot be read, names something that may not be built, or its weights do not fit its config.
    """
    checkpoint = read_checkpoint(path)
    config = checkpoint_config(checkpoint)
    register_resolvers()
    try:
        module_config = config["module"]
        _refuse_foreign_targets(OmegaConf.to_container(module_config, resolve=True), path)
        module_config["compile"] = False
        module = instantiate(module_config)
        module.load_state_dict(checkpoint["state_dict"])
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(f"the weights in {path} do not fit its config: {_first_line(error)}") from error
    return module.eval()


def _refuse_foreign_targets(node: Any, path: Path | str) -> None:
    if isinstance(node, dict):
        target = node.get("_target_")
        if target is not None and not str(target).startswith(_ALLOWED_TARGETS):
            raise CheckpointError(
                f"{path} asks for {target!r} to be called, which no checkpoint may; it is not loaded."
            )
        for value in node.values():
            _refuse_foreign_targets(value, path)
    elif isinstance(node, list):
        for value in node:
            _refuse_foreign_targets(value, path)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
