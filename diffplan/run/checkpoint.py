"""Checkpoints: what is written into them, and how a trained model is rebuilt from one without running its content.

Format 2 names every part of the model by the yaml that offers it, as in ``_part_: backbone/temporal_unet``. The first
format had no number and named parts by import path. Both are read.
"""

import importlib
import pickle
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import Tensor

import diffplan
from diffplan.config.parts import targets_of_group, with_part_names, with_targets
from diffplan.errors import CheckpointError
from diffplan.method.critic import TrajectoryCritic
from diffplan.method.model import TrajectoryModel
from diffplan.method.network.base import AbstractBackbone
from diffplan.method.network.value_unet import ValueUnet
from diffplan.method.noise.supported_schedulers import check_scheduler
from diffplan.method.trajectory import TransitionLayout

FORMAT = 2
_HYDRA_KEYS = ("_target_", "_partial_", "_convert_", "_recursive_")
# Where a training keeps its networks in the state of its module.
_LIVE, _AVERAGE, _NORMALIZER = "backbone.", "average.average.", "normalizer."


def checkpoint_origin(config: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the entry ``diffplan`` of a checkpoint: what made it, so that it can be rebuilt and judged alone.

    Args:
        config: The whole resolved config of the training, plain values only.
        data: Identity of the training data.
    """
    named = with_part_names(config)
    return {"format": FORMAT, "version": diffplan.__version__, "config": named, "data": dict(data)}


def checkpoint_weights(model: TrajectoryModel | TrajectoryCritic, live: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the entry ``state_dict`` of a checkpoint, as the training module writes it.

    Args:
        model: What was trained, with the averaged weights.
        live: The weights that were trained, by the network's names.
    """
    weights = {f"{_LIVE}{name}": value for name, value in live.items()}
    weights |= {f"{_AVERAGE}{name}": value for name, value in model.backbone.state_dict().items()}
    weights |= {f"{_NORMALIZER}{name}": value for name, value in model.normalizer.state_dict().items()}
    if isinstance(model, TrajectoryCritic):
        weights |= {"value_offset": model.offset, "value_scale": model.scale}
    return weights


def read_checkpoint(path: Path | str) -> dict[str, Any]:
    """Loads a checkpoint without running any code that might be in it.

    Returns:
        Its content; the known parts of the config have their present ``_target_``, whatever the format.

    Raises:
        CheckpointError: no file, not a checkpoint of this project, truncated, of a later format, or one that would
            execute code.
    """
    path = Path(path)
    checkpoint = read_tensors(path)
    origin = checkpoint.get("diffplan") if isinstance(checkpoint, dict) else None
    if not isinstance(origin, dict) or not isinstance(origin.get("config"), dict) or "state_dict" not in checkpoint:
        raise CheckpointError(f"{path} is no checkpoint of diffplan: it has no 'diffplan' entry with its config.")
    if origin.get("format", 1) not in (1, FORMAT):
        raise CheckpointError(
            f"{path} has the checkpoint format {origin['format']!r}, but this version reads formats up to {FORMAT}; "
            "install a later version of diffplan."
        )
    return checkpoint | {"diffplan": origin | {"config": with_targets(origin["config"])}}


def read_tensors(path: Path) -> Any:
    """Loads what ``torch.save`` wrote, as long as it is tensors and plain values.

    Raises:
        CheckpointError: no file, truncated, or one that would execute code; the message names what it asks for.
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


def checkpoint_config(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the resolved config that the checkpoint was trained with, plain values only.

    Planning builds the scheduler and the task from it, so both are checked here.

    Raises:
        CheckpointError: scheduler or task name something that is no such part.
    """
    config: dict[str, Any] = checkpoint["diffplan"]["config"]
    for key, group in (("scheduler", "scheduler"), ("task", "body")):
        node = config.get(key)
        if isinstance(node, dict):
            _class_of(group, node)
            for value in node.values():
                _refuse_parts(value)
    return config


def load_model(path: Path | str) -> TrajectoryModel:
    """Rebuilds a trained denoiser from its checkpoint's path alone, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: it cannot be read, names something that may not be built, or its weights do not fit its config.
    """
    checkpoint = _read_kind(path, is_critic=False)
    with _fitting(path):
        return _filled(build_model(checkpoint["diffplan"]["config"]), checkpoint["state_dict"])


def load_critic(path: Path | str) -> TrajectoryCritic:
    """Rebuilds a trained critic from its checkpoint's path alone, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: it cannot be read, names something that may not be built, or its weights do not fit its config.
    """
    checkpoint = _read_kind(path, is_critic=True)
    with _fitting(path):
        return _filled(build_critic(checkpoint["diffplan"]["config"]), checkpoint["state_dict"])


def build_model(config: Mapping[str, Any]) -> TrajectoryModel:
    """Builds the untrained denoiser of a config without Hydra; only known parts are built.

    Args:
        config: The resolved config of a training, plain values only.

    Raises:
        CheckpointError: a part is not one of its group.
    """
    backbone = _build("backbone", config["backbone"])
    if not isinstance(backbone, AbstractBackbone):
        raise CheckpointError(f"{type(backbone).__name__} is no denoiser.")
    conditioning = _build("conditioning", config["conditioning"])
    return TrajectoryModel(backbone, conditioning=conditioning, **_common_parts(config))


def build_critic(config: Mapping[str, Any]) -> TrajectoryCritic:
    """Builds the untrained critic of a config without Hydra; only known parts are built.

    Args:
        config: The resolved config of a training, plain values only.

    Raises:
        CheckpointError: a part is not one of its group.
    """
    backbone = _build("backbone", config["critic"]["backbone"])
    if not isinstance(backbone, ValueUnet):
        raise CheckpointError(f"{type(backbone).__name__} is no critic.")
    return TrajectoryCritic(backbone, target=_build("critic", config["critic"]["target"]), **_common_parts(config))


def _common_parts(config: Mapping[str, Any]) -> dict[str, Any]:
    data, scheduler = config["datamodule"], _build("scheduler", config["scheduler"])
    check_scheduler(scheduler)
    return {
        "normalizer": _build("normalizer", config["normalizer"]),
        "scheduler": scheduler,
        "layout": TransitionLayout(data["action_dim"], data["observation_dim"]),
        "horizon": data["horizon"],
        "stride": data["stride"],
    }


def _build(group: str, node: Mapping[str, Any]) -> Any:
    """Builds one part from plain values; a part inside a part is handed over as it is, not built."""
    return _class_of(group, node)(**{key: value for key, value in node.items() if key not in _HYDRA_KEYS})


def _class_of(group: str, node: Mapping[str, Any]) -> Any:
    """Finds the class of a part among those that the group's yamls offer, and diffusers' schedulers."""
    target = node.get("_target_", node.get("_part_"))
    module, _, name = str(target).rpartition(".")
    if target in targets_of_group(group) and not module.startswith("diffusers"):
        return getattr(importlib.import_module(module), name)
    if group == "scheduler" and module.startswith("diffusers"):
        found = getattr(diffusers, name, None)
        if isinstance(found, type) and issubclass(found, diffusers.SchedulerMixin):
            return found
    raise _foreign(target)


def _refuse_parts(node: Any) -> None:
    if isinstance(node, dict):
        if "_target_" in node:
            raise _foreign(node["_target_"])
        node = list(node.values())
    if isinstance(node, list):
        for value in node:
            _refuse_parts(value)


def _foreign(target: Any) -> CheckpointError:
    return CheckpointError(f"the checkpoint asks for {target!r} to be called, which is no part of a model.")


def _read_kind(path: Path | str, is_critic: bool) -> dict[str, Any]:
    checkpoint = read_checkpoint(path)
    # Only a critic has a range of returns.
    if ("value_offset" in checkpoint["state_dict"]) != is_critic:
        held, needed = ("denoiser", "critic") if is_critic else ("critic", "denoiser")
        raise CheckpointError(f"{path} holds a {held} where a {needed} is needed.")
    return checkpoint


def _filled(model: Any, state: Mapping[str, Tensor]) -> Any:
    """Loads averaged weights and statistics into a fresh model."""
    for module, prefix in ((model.backbone, _AVERAGE), (model.normalizer, _NORMALIZER)):
        module.load_state_dict({k.removeprefix(prefix): value for k, value in state.items() if k.startswith(prefix)})
    model.backbone.requires_grad_(False).eval()
    if isinstance(model, TrajectoryCritic):
        model.offset.copy_(state["value_offset"])
        model.scale.copy_(state["value_scale"])
    return model


@contextmanager
def _fitting(path: Path | str) -> Iterator[None]:
    """Turns every error of a config and weights that do not fit into one sentence."""
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(f"the weights in {path} do not fit its config: {_reason(error)}.") from error


def _reason(error: BaseException) -> str:
    """Returns the first sentence of an error's message, with the line after it where it only announces that."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    text = " ".join(lines[: 2 if lines[0].endswith(":") else 1])
    return text.split(". ")[0].rstrip(".:")
