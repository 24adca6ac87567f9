"""What a checkpoint must hold so that a training continues from it exactly, checked before any of it is used."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from packaging.version import InvalidVersion, Version
from torch import Tensor, nn

from diffplan.errors import CheckpointError
from diffplan.run.checkpoint import QUALITY, stored_quality
from diffplan.run.folder import previous_checkpoint
from diffplan.training.callback.monitors import RandomState, check_random_state
from diffplan.training.modules import AbstractTrajectoryModule

_CALLBACK_STATES = ("RandomState", "SpeedMonitor", "RolloutCallback")
# What comparing values of the wrong type raises, such as a tensor where a number belongs.
_UNEXPECTED = (AttributeError, IndexError, KeyError, OverflowError, RuntimeError, TypeError, ValueError)


def way_out(path: Path) -> str:
    """Says how to go on without a checkpoint that cannot be used.

    Args:
        path: Place of a run's newest checkpoint.
    """
    previous = previous_checkpoint(path)
    if previous.is_file():
        return f"to continue from the one before it, rename {previous} to {path.name} and rerun the same command"
    return "to train from the beginning, move it away and rerun the same command"


class ResumeCheck(Callback):
    """Compares a checkpoint with the run that is about to continue from it.

    Args:
        path: Where it lies.
        checkpoint: Its content.

    Raises:
        CheckpointError: something is missing, empty, of another shape, contradictory or not finite.
    """

    def __init__(self, path: Path, checkpoint: Mapping[str, Any]) -> None:
        self.path = path
        self.checkpoint = checkpoint

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Checks when the data has been read and before Lightning loads anything."""
        assert isinstance(pl_module, AbstractTrajectoryModule)
        try:
            _check(self.checkpoint, trainer, pl_module)
        except CheckpointError as error:
            raise CheckpointError(f"{self.path} cannot be continued: {error}; {way_out(self.path)}.") from None
        except _UNEXPECTED as error:
            raise CheckpointError(
                f"{self.path} cannot be continued: it is not what a training writes; {way_out(self.path)}."
            ) from error
        self.checkpoint = {}


def _check(checkpoint: Mapping[str, Any], trainer: Trainer, module: AbstractTrajectoryModule) -> None:
    _check_origin(checkpoint)
    keeps_dtype = not str(trainer.precision).endswith("-true") or str(trainer.precision) == "32-true"
    _check_tensors("its weights", _entry(checkpoint, "state_dict"), module.state_dict(), keeps_dtype)
    step = _check_loops(checkpoint, trainer)
    scales = bool(trainer.precision_plugin.state_dict())
    if scales:
        # A scaler skips steps whose gradients are not finite, and then the optimiser has made fewer.
        name = type(trainer.precision_plugin).__qualname__
        _alike(f"its {name}", _entry(checkpoint, name), trainer.precision_plugin.state_dict())
    _check_optimizer(checkpoint, module, step, keeps_dtype, scales)
    _check_gradients(checkpoint, trainer, module)
    _check_callbacks(checkpoint, trainer)
    _check_quality(checkpoint, step)


def _check_origin(checkpoint: Mapping[str, Any]) -> None:
    data = checkpoint["diffplan"].get("data")
    if not isinstance(data, dict) or not all(isinstance(data.get(key), str) for key in ("name", "sha256")):
        raise CheckpointError("it does not say which data it was trained on")
    try:
        Version(checkpoint.get("pytorch-lightning_version"))  # type: ignore[arg-type]
    except (InvalidVersion, TypeError):
        raise CheckpointError("it does not say which version of Lightning wrote it") from None


def _check_tensors(what: str, saved: Any, expected: Mapping[str, Tensor], keeps_dtype: bool) -> None:
    """Compares named tensors in their names, shapes and types; every number must be finite."""
    if not isinstance(saved, Mapping):
        raise CheckpointError(f"{what} are missing")
    if missing := expected.keys() - saved.keys():
        raise CheckpointError(f"{min(missing)} and {len(missing) - 1} others are missing in {what}")
    if surplus := saved.keys() - expected.keys():
        raise CheckpointError(f"{min(map(str, surplus))!r} in {what} is unknown to this run")
    for name, tensor in expected.items():
        value = saved[name]
        if not isinstance(value, Tensor) or value.layout != torch.strided:
            raise CheckpointError(f"{name} of {what} is no tensor")
        if value.shape != tensor.shape:
            raise CheckpointError(f"{name} of {what} has the shape {[*value.shape]} instead of {[*tensor.shape]}")
        both_floating = value.is_floating_point() and tensor.is_floating_point()
        if value.dtype != tensor.dtype and (keeps_dtype or not both_floating):
            raise CheckpointError(f"{name} of {what} has the type {value.dtype} instead of {tensor.dtype}")
        if not bool(value.isfinite().all()):
            raise CheckpointError(f"{name} of {what} is not finite")


def _check_loops(checkpoint: Mapping[str, Any], trainer: Trainer) -> int:
    """Compares all counters of steps and batches with each other; returns the step."""
    step, loops = _entry(checkpoint, "global_step"), _entry(_entry(checkpoint, "loops"), "fit_loop")
    if type(step) is not int or step < 0:
        raise CheckpointError("its global_step is no number of steps")
    fresh = trainer.fit_loop.state_dict() | {"state_dict": {"combined_loader": []}}
    _alike("its place in the loops", loops, fresh)
    batches = loops["epoch_loop.batch_progress"]
    steps = loops["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]["step"]["total"]
    read = batches["total"]["ready"]
    rest = read % trainer.accumulate_grad_batches
    pairs = [
        (loops["state_dict"]["combined_loader"], [{"number": read}], "batches"),
        (batches["current"], batches["total"], "batches"),
        ((steps["ready"], steps["completed"]), (step, step), "optimiser steps"),
        (read // trainer.accumulate_grad_batches, step, "batches"),
        (loops["epoch_loop.state_dict"]["_batches_that_stepped"], step if rest else step - 1, "logged steps"),
    ]
    for found, expected, what in pairs:
        if found != expected:
            raise CheckpointError(f"its count of {what} contradicts its global_step {step}")
    return step


def _check_optimizer(
    checkpoint: Mapping[str, Any], module: AbstractTrajectoryModule, step: int, keeps_dtype: bool, skips: bool
) -> None:
    """Compares the state with that of a fresh optimiser which has made one step on copies of the parameters."""
    parameters = [nn.Parameter(p.detach().clone(), p.requires_grad) for p in module.backbone.parameters()]
    optimizer = module.optimizer(parameters)
    schedule = None if module.learning_rate_schedule is None else module.learning_rate_schedule(optimizer)
    groups = optimizer.state_dict()["param_groups"]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step(lambda: 0.0)
    expected = optimizer.state_dict()["state"]
    saved = _only(checkpoint, "optimizer_states")
    states = _entry(saved, "state")
    untrained = set(_entry(checkpoint, "untrained_parameters") if "untrained_parameters" in checkpoint else [])
    needed = expected.keys() - untrained if step > 0 else set()
    if not isinstance(states, dict) or states.keys() != needed:
        raise CheckpointError("its optimiser has not one state for each parameter")
    for number in states:
        what = f"the optimiser's state of parameter {number}"
        _check_state(what, states[number], expected[number], keeps_dtype)
        made = float(states[number].get("step", step))
        if not (0 <= made <= step if skips else made == step):
            raise CheckpointError(f"{what} is of step {made:.0f} and not of step {step}")
    _check_groups(_entry(saved, "param_groups"), groups, schedule is not None)
    _check_schedule(checkpoint, schedule, step, _entry(saved, "param_groups"))


def _check_state(what: str, saved: Any, expected: Mapping[str, Any], keeps_dtype: bool) -> None:
    if not isinstance(saved, dict) or saved.keys() != expected.keys():
        raise CheckpointError(f"{what} is not complete")
    tensors = {key: value for key, value in expected.items() if isinstance(value, Tensor)}
    _check_tensors(what, {key: saved[key] for key in tensors}, tensors, keeps_dtype)


def _check_groups(saved: Any, expected: list[dict[str, Any]], is_scheduled: bool) -> None:
    if not isinstance(saved, list) or len(saved) != len(expected):
        raise CheckpointError("its optimiser has another number of parameter groups")
    for mine, group in zip(saved, expected, strict=True):
        if not isinstance(mine, dict) or mine.get("params") != group["params"]:
            raise CheckpointError("its optimiser has other parameters")
        for key, value in group.items():
            # Flags that a later version of torch adds are filled in by torch, and some depend on the device.
            if value is None or isinstance(value, bool):
                continue
            found = mine.get(key)
            is_free = key == "lr" and is_scheduled
            if not _is_finite(found) or (not is_free and found != value):
                raise CheckpointError(f"its optimiser has {key}={found!r} where the settings say {value!r}")
        if surplus := mine.keys() - group.keys():
            raise CheckpointError(f"its optimiser has the unknown setting {min(map(str, surplus))!r}")


def _check_schedule(checkpoint: Mapping[str, Any], schedule: Any, step: int, groups: list[dict[str, Any]]) -> None:
    if schedule is None:
        if checkpoint.get("lr_schedulers") != []:
            raise CheckpointError("it has a learning-rate schedule, and the settings have none")
        return
    saved, expected = _only(checkpoint, "lr_schedulers"), schedule.state_dict()
    flags = {key for key, value in expected.items() if isinstance(value, bool)}
    if not isinstance(saved, dict) or expected.keys() - flags - saved.keys() or saved.keys() - expected.keys():
        raise CheckpointError("its learning-rate schedule is not complete")
    same = {key for key in expected.keys() - flags if not key.startswith("_")} - {"last_epoch"}
    if any(saved[key] != expected[key] for key in same):
        raise CheckpointError("its learning-rate schedule has other settings")
    counts = {"last_epoch": step, "_step_count": step + 1, "_last_lr": [group["lr"] for group in groups]}
    if any(saved.get(key, value) != value for key, value in counts.items()):
        raise CheckpointError(f"its learning-rate schedule is not that of step {step}")


def _check_gradients(checkpoint: Mapping[str, Any], trainer: Trainer, module: AbstractTrajectoryModule) -> None:
    """Gradients are there exactly if the run stopped between two of the batches that make a step."""
    rest = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["ready"]
    processes = checkpoint.get("accumulated_gradients", [])
    if not isinstance(processes, list) or bool(processes) != bool(rest % trainer.accumulate_grad_batches):
        raise CheckpointError("its accumulated gradients do not belong to its batches")
    parameters = dict(module.named_parameters())
    for gradients in processes:
        if not isinstance(gradients, dict):
            raise CheckpointError("its accumulated gradients are no named tensors")
        known = {name: parameters[name] for name in gradients if name in parameters}
        _check_tensors("its accumulated gradients", gradients, known, keeps_dtype=False)


def _check_callbacks(checkpoint: Mapping[str, Any], trainer: Trainer) -> None:
    saved = _entry(checkpoint, "callbacks")
    if not isinstance(saved, dict):
        raise CheckpointError("its callbacks have no states")
    kept = checkpoint["diffplan"]["config"].get("callbacks")
    written = {node["_target_"] for node in (kept or {}).values() if isinstance(node, dict) and "_target_" in node}
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        name = type(callback).__name__
        if name not in _CALLBACK_STATES:
            continue
        if name not in saved:
            if any(str(target).endswith(f".{name}") for target in written):
                raise CheckpointError(f"the state of {name} is missing")
        elif isinstance(callback, RandomState):
            check_random_state(saved[name])
        else:
            _alike(f"the state of {name}", saved[name], callback.state_dict())


def _check_quality(checkpoint: Mapping[str, Any], step: int) -> None:
    """What the critic is worth is there if it has been checked; the best weights so far are known by it."""
    quality, critic = stored_quality(checkpoint.get(QUALITY)), checkpoint["diffplan"]["config"].get("critic") or {}
    is_checked = critic.get("held_out", 0) > 0 and checkpoint["state_dict"].keys() & {"value_offset"}
    if quality is None and is_checked and step >= critic["check_every_n_steps"]:
        raise CheckpointError("what its critic is worth on held-out episodes is missing")
    if quality is not None and quality.step > step:
        raise CheckpointError(f"what its critic is worth is of step {quality.step} and not of a step up to {step}")


def _alike(what: str, saved: Any, expected: Any) -> None:
    """Compares nested values in keys and types; numbers must be finite and not negative."""
    if isinstance(expected, dict):
        if not isinstance(saved, dict) or saved.keys() != expected.keys():
            raise CheckpointError(f"{what} is not complete")
        for key, value in expected.items():
            # A stream of data has no place before training, so there is nothing to compare with.
            if key != "combined_loader":
                _alike(what, saved[key], value)
    elif type(saved) is not type(expected) or not _is_finite(saved) or saved < 0:
        raise CheckpointError(f"{what} is not complete")


def _is_finite(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_finite, value))
    return isinstance(value, (int, float)) and math.isfinite(value)


def _entry(mapping: Any, key: str) -> Any:
    if not isinstance(mapping, Mapping) or key not in mapping:
        raise CheckpointError(f"its entry {key} is missing")
    return mapping[key]


def _only(checkpoint: Mapping[str, Any], key: str) -> Any:
    entries = _entry(checkpoint, key)
    if not isinstance(entries, list) or len(entries) != 1:
        raise CheckpointError(f"its entry {key} does not have one element")
    return entries[0]
