"""Checkpoints: what is written into them, and how a trained model is rebuilt from one without running its content.

Format 2 names every part of the model by the yaml that offers it, as in ``_part_: backbone/temporal_unet``. The first
format had no number and named parts by import path. Both are read.
"""

import importlib
import pickle
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import Tensor

import diffplan
from diffplan.config.archive import open_archive, verify_checksums
from diffplan.config.checkpoint_settings import training_settings, usable
from diffplan.config.parts import with_part_names
from diffplan.config.stored_settings import part_settings, plain_settings, shown, typed
from diffplan.errors import CheckpointError, DiffplanError
from diffplan.method.critic import CriticQuality, LevelQuality, TrajectoryCritic
from diffplan.method.model import TrajectoryModel
from diffplan.method.network.base import AbstractBackbone
from diffplan.method.network.value_unet import ValueUnet
from diffplan.method.noise.schedule import NoiseSchedule
from diffplan.method.noise.supported_schedulers import check_scheduler
from diffplan.method.normalizer import AbstractNormalizer
from diffplan.method.trajectory import TransitionLayout

FORMAT = 2
# Weights may share memory, so they may be larger than their file, but not by much.
_MOST_SHARING = 8
# Where a training keeps its networks in the state of its module.
_LIVE, _AVERAGE, _NORMALIZER = "backbone.", "average.average.", "normalizer."
# Where the training of a critic keeps the averaged weights that were best on held-out episodes, and what it is worth.
_BEST, QUALITY = "kept.average.", "critic_quality"
_MOST_NOISE_LEVELS = 64


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
        Its content. ``state_dict`` holds tensors by name, ``global_step`` is a number, and ``diffplan`` has plain
        values of known types; the known parts of its config have their present ``_target_``, whatever the format. All
        other entries are as the training wrote them.

    Raises:
        CheckpointError: no file, not a checkpoint of this project, damaged, of a later format, or one that would
            execute code.
    """
    path = Path(path)
    content = read_tensors(path)
    origin = content.get("diffplan") if isinstance(content, dict) else None
    if not isinstance(origin, dict) or "config" not in origin or "state_dict" not in content:
        raise CheckpointError(f"{path} is no checkpoint of diffplan: it has no 'diffplan' entry with its config.")
    _check_format(origin.get("format", 1), path)
    with usable(path):
        checked = {
            "version": typed(origin.get("version"), str, "version"),
            "data": _data_identity(origin.get("data")),
            "config": training_settings(origin["config"]),
        }
        _check_count(content.get("global_step"), "global_step")
        return content | {
            "state_dict": _weights(content["state_dict"], most_bytes=_MOST_SHARING * path.stat().st_size),
            "diffplan": origin | checked,
        }


def read_tensors(path: Path) -> Any:
    """Loads what ``torch.save`` wrote, as long as it is tensors and plain values, and proves that it is not damaged.

    Raises:
        CheckpointError: no file, damaged, or one that would execute code; the message names what it asks for.
    """
    with open_archive(path) as archive:
        verify_checksums(archive, path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        raise CheckpointError(
            f"{path} holds pickled code ({asked.group(1) if asked else _reason(error)}) and is not loaded."
        ) from error
    except Exception as error:
        # Hostile content makes an unpickler raise errors of every kind.
        raise CheckpointError(f"{path} is truncated or not a checkpoint: {_reason(error)}.") from error


def load_model(path: Path | str) -> TrajectoryModel:
    """Rebuilds a trained denoiser from its checkpoint's path alone, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: it cannot be read, names something that may not be built, or its weights do not fit its config.
    """
    return trained_model(read_checkpoint(path), path)


def load_critic(path: Path | str) -> TrajectoryCritic:
    """Rebuilds a trained critic from its checkpoint's path alone, on the CPU, in evaluation mode.

    Raises:
        CheckpointError: it cannot be read, names something that may not be built, or its weights do not fit its config.
    """
    return _trained(read_checkpoint(path), path, is_critic=True)


def stored_quality(given: Any) -> CriticQuality | None:
    """Rebuilds what a file says about a critic's worth on held-out episodes.

    Args:
        given: What ``CriticQuality.to_plain`` returned; None if the file has none.

    Raises:
        CheckpointError: it is something else.
    """
    if given is None:
        return None
    numbers = _typed_fields(CriticQuality, given, QUALITY, without="levels")
    levels = given["levels"]
    if type(levels) is not list or len(levels) > _MOST_NOISE_LEVELS:
        raise CheckpointError(f"{QUALITY}.levels must be a list of {_MOST_NOISE_LEVELS} noise levels at most.")
    built = (LevelQuality(**_typed_fields(LevelQuality, level, f"{QUALITY}.levels")) for level in levels)
    return CriticQuality(**numbers, levels=tuple(built))


def trained_model(checkpoint: Mapping[str, Any], path: Path | str) -> TrajectoryModel:
    """Rebuilds a trained denoiser from a checkpoint that was read already.

    Args:
        checkpoint: What ``read_checkpoint`` returned.
        path: Its file, for messages.

    Raises:
        CheckpointError: it names something that may not be built, or its weights do not fit its config.
    """
    return _trained(checkpoint, path, is_critic=False)


def build_model(config: Mapping[str, Any]) -> TrajectoryModel:
    """Builds the untrained denoiser of a config without Hydra; only known parts are built.

    Args:
        config: The resolved config of a training, plain values only.

    Raises:
        CheckpointError: a part is not one of its group, or has a wrong setting.
    """
    backbone, normalizer = _networks(config, is_critic=False)
    conditioning = build_part("conditioning", config.get("conditioning"), "conditioning")
    return TrajectoryModel(backbone, normalizer, conditioning=conditioning, **_noise_and_columns(config, backbone))


def build_critic(config: Mapping[str, Any]) -> TrajectoryCritic:
    """Builds the untrained critic of a config without Hydra; only known parts are built.

    Args:
        config: The resolved config of a training, plain values only.

    Raises:
        CheckpointError: a part is not one of its group, or has a wrong setting.
    """
    backbone, normalizer = _networks(config, is_critic=True)
    target = build_part("critic", config["critic"].get("target"), "critic.target")
    return TrajectoryCritic(backbone, normalizer, target=target, **_noise_and_columns(config, backbone))


def build_part(group: str, node: Any, name: str) -> Any:
    """Builds one part without Hydra: its class is named by this package, and its settings are typed.

    Args:
        group: The part's group in ``conf``.
        node: What a file holds: ``_part_`` or ``_target_``, and settings.
        name: What messages call it.

    Raises:
        CheckpointError: it is no part of the group, or has a wrong setting.
    """
    settings = part_settings(group, node, name)
    module, _, kind = settings.pop("_target_").rpartition(".")
    found = getattr(importlib.import_module(module), kind)
    if group == "scheduler" and not (isinstance(found, type) and issubclass(found, diffusers.SchedulerMixin)):
        raise CheckpointError(f"diffusers' {kind} is no scheduler.")
    return found(**settings)


def _networks(config: Mapping[str, Any], is_critic: bool) -> tuple[Any, AbstractNormalizer]:
    """Builds what has weights or statistics."""
    where, kind = ("critic.backbone", ValueUnet) if is_critic else ("backbone", AbstractBackbone)
    node = (config.get("critic") or {}).get("backbone") if is_critic else config.get("backbone")
    backbone = build_part("backbone", node, where)
    if not isinstance(backbone, kind):
        raise CheckpointError(f"{type(backbone).__name__} is no {'critic' if is_critic else 'denoiser'}.")
    return backbone, build_part("normalizer", config.get("normalizer"), "normalizer")


def _noise_and_columns(config: Mapping[str, Any], backbone: Any) -> dict[str, Any]:
    data = config.get("datamodule") or {}
    keys = ("action_dim", "observation_dim", "horizon", "stride")
    action_dim, observation_dim, horizon, stride = (typed(data.get(key), int, f"datamodule.{key}") for key in keys)
    layout = TransitionLayout(action_dim, observation_dim)
    if backbone.transition_dim != layout.transition_dim:
        raise CheckpointError(
            f"the network has {backbone.transition_dim} columns, but the data has {action_dim} of actions and "
            f"{observation_dim} of observations."
        )
    backbone.check_horizon(horizon)
    scheduler = build_part("scheduler", config.get("scheduler"), "scheduler")
    check_scheduler(scheduler)
    schedule, steps = NoiseSchedule(scheduler), scheduler.config.num_train_timesteps
    if len(schedule.noise) != steps or not (schedule.signal.isfinite() & schedule.noise.isfinite()).all():
        raise CheckpointError(f"the scheduler must have {steps} noise levels between 0 and 1; its betas are wrong.")
    return {"scheduler": scheduler, "layout": layout, "horizon": horizon, "stride": stride}


def _check_format(number: Any, path: Path) -> None:
    if type(number) is not int or number not in (1, FORMAT):
        raise CheckpointError(
            f"{path} has the checkpoint format {shown(number)}, but this version reads formats up to {FORMAT}; "
            "install a later version of diffplan."
        )


def _data_identity(given: Any) -> dict[str, Any]:
    identity = plain_settings(given, "data")
    if not isinstance(identity, dict):
        raise CheckpointError(f"the identity of its data must be a group of settings, got {shown(given)}.")
    for key in ("name", "kind", "sha256"):
        typed(identity.get(key), str, f"data.{key}")
    _check_count(identity.get("num_transitions"), "data.num_transitions")
    return identity


def _check_count(number: Any, name: str) -> None:
    if type(number) is not int or not 0 <= number < 2**53:
        raise CheckpointError(f"{name} must be a whole number from 0 on, got {shown(number)}.")


def _weights(given: Any, most_bytes: int) -> dict[str, Tensor]:
    """Checks that weights are named tensors that the file really holds."""
    if not isinstance(given, dict):
        raise CheckpointError(f"its state_dict must hold tensors by name, got {shown(given)}.")
    for name, value in given.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(f"its state_dict must hold tensors by name, got {shown(name)}: {shown(value)}.")
        if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized:
            raise CheckpointError(f"the weights {shown(name)} are no ordinary tensor.")
        if value.untyped_storage().nbytes() < value.nbytes:
            raise CheckpointError(f"the weights {shown(name)} are larger than what is stored of them.")
    if sum(value.nbytes for value in given.values()) > most_bytes:
        raise CheckpointError("its weights are larger than its file.")
    return dict(given)


def _trained(checkpoint: Mapping[str, Any], path: Path | str, is_critic: bool) -> Any:
    config, state = checkpoint["diffplan"]["config"], checkpoint["state_dict"]
    # Only a critic has a range of returns.
    if ("value_offset" in state) != is_critic:
        held, needed = ("denoiser", "critic") if is_critic else ("critic", "denoiser")
        raise CheckpointError(f"{path} holds a {held} where a {needed} is needed.")
    try:
        # On this device tensors have shapes and no memory, whatever sizes the config has.
        with torch.device("meta"):
            backbone, normalizer = _networks(config, is_critic)
        # A critic that is checked on held-out episodes may keep its best weights beside the newest.
        quality = stored_quality(checkpoint.get(QUALITY)) if is_critic else None
        has_best = is_critic and any(name.startswith(_BEST) for name in state)
        networks = backbone.state_dict().items()
        expected = {f"{_AVERAGE}{name}": value for name, value in networks}
        expected |= {f"{_BEST}{name}": value for name, value in networks if has_best}
        expected |= {f"{_NORMALIZER}{name}": value for name, value in normalizer.state_dict().items()}
        expected |= {f"value_{name}": torch.empty((), device="meta") for name in ("offset", "scale") if is_critic}
        _check_weights(state, expected)
        # Before its first check, a training has no best weights.
        average = _BEST if has_best and quality is not None else _AVERAGE
        model = _filled((build_critic if is_critic else build_model)(config), state, average)
        return replace(model, quality=quality) if is_critic else model
    except DiffplanError as error:
        raise CheckpointError(f"the model in {path} cannot be rebuilt: {error}") from error
    except Exception as error:
        # Constructors, diffusers' among them, raise errors of every kind for settings that do not go together.
        raise CheckpointError(f"the model in {path} cannot be rebuilt: {_reason(error)}.") from error


def _check_weights(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Compares names, shapes and kinds of numbers, and refuses numbers that no training would have kept."""
    unfit = "its weights do not fit its config"
    for name, wanted in expected.items():
        given = state.get(name)
        if given is None:
            raise CheckpointError(f"{unfit}: {name} is missing.")
        if given.shape != wanted.shape or given.is_floating_point() != wanted.is_floating_point():
            raise CheckpointError(
                f"{unfit}: {name} has the shape {list(given.shape)} and the type {given.dtype}, but must have "
                f"{list(wanted.shape)} and {wanted.dtype}."
            )
    for name, value in state.items():
        if name.startswith((_AVERAGE, _BEST, _NORMALIZER)) and name not in expected:
            raise CheckpointError(f"{unfit}: there should be no {shown(name)}.")
        if value.is_floating_point() and not value.float().isfinite().all():
            raise CheckpointError(f"{shown(name)} holds numbers that are not finite.")
        if name in (f"{_NORMALIZER}scale", "value_scale") and not (value > 0).all():
            raise CheckpointError(f"{name} must be above 0.")


def _filled(model: Any, state: Mapping[str, Tensor], average: str) -> Any:
    """Loads averaged weights and statistics into a fresh model."""
    for module, prefix in ((model.backbone, average), (model.normalizer, _NORMALIZER)):
        module.load_state_dict({k.removeprefix(prefix): value for k, value in state.items() if k.startswith(prefix)})
    model.backbone.requires_grad_(False).eval()
    if isinstance(model, TrajectoryCritic):
        model.offset.copy_(state["value_offset"])
        model.scale.copy_(state["value_scale"])
    return model


def _typed_fields(kind: Any, given: Any, name: str, without: str = "") -> dict[str, Any]:
    """Checks plain values against the fields of a dataclass; each must be there."""
    hints = {field.name: field.type for field in fields(kind)}
    if type(given) is not dict or given.keys() != hints.keys():
        raise CheckpointError(f"{name} must have the entries {', '.join(hints)}.")
    return {key: typed(given[key], hint, f"{name}.{key}") for key, hint in hints.items() if key != without}


def _reason(error: BaseException) -> str:
    """Returns the first sentence of an error's message, with the line after it where it only announces that."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    text = " ".join(lines[: 2 if lines[0].endswith(":") else 1])
    return text.split(". ")[0].rstrip(".:")
