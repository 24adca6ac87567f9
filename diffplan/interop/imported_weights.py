"""Weights of models from elsewhere: folders in diffusers' layout, and states of the original repository."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from diffplan.errors import CheckpointError
from diffplan.interop.diffusers_networks import Kind, check_config
from diffplan.interop.layer_names import critic_layers, denoiser_layers, translate
from diffplan.interop.trajectory_format import TrajectoryFormat
from diffplan.run.checkpoint import read_tensors

_LEVEL = {"denoiser": re.compile(r"downs\.(\d+)\."), "critic": re.compile(r"blocks\.(\d+)\.")}
# The maze branch has no attention, so the layer after it has the number of the attention.
_MAZE_RESAMPLE = re.compile(r"^(downs|ups)\.(\d+)\.2\.conv\.")
_SUBFOLDER = {"denoiser": "unet", "critic": "value_function"}
_OWN = {"denoiser": "DenoiserModel", "critic": "CriticModel"}


@dataclass(frozen=True)
class ImportedWeights:
    """One network with its weights under our names, and what else its file says.

    Attributes:
        average: The weights that planning uses.
        live: The weights that were trained; equal to ``average`` if the file has one set.
        step: Optimiser steps trained; 0 if unknown.
        alphas_cumprod: The noise it was trained on; None if unknown.
        horizon: Rows of a plan; None if unknown.
        prediction_type: What the network predicts; None if unknown.
        clip_sample: Whether denoised estimates are clipped; None if unknown.
        form: The trajectory format, of models exported here.
    """

    average: Mapping[str, Tensor]
    live: Mapping[str, Tensor]
    step: int = 0
    alphas_cumprod: Float[Tensor, " timestep"] | None = None
    horizon: int | None = None
    prediction_type: str | None = None
    clip_sample: bool | None = None
    form: TrajectoryFormat | None = None


def read_diffusers(folder: Path, kind: Kind) -> ImportedWeights:
    """Reads one network of a pipeline's folder.

    Args:
        folder: The pipeline's.
        kind: Which network.

    Raises:
        CheckpointError: it cannot be read, would run code, or computes what no network here does.
    """
    place = folder / _SUBFOLDER[kind]
    config = _json(place / "config.json")
    if config.get("_class_name") == _OWN[kind]:
        weights = {name.removeprefix("network."): value for name, value in _weights(place).items()}
    else:
        check_config(config, kind)
        layers = denoiser_layers if kind == "denoiser" else critic_layers
        try:
            weights = translate(_weights(place), layers(len(config["down_block_types"])), "diffusers")
        except KeyError as error:
            raise CheckpointError(f"{place} has weights that no {kind} here has: {error}.") from error
    scheduler = _json(folder / "scheduler" / "scheduler_config.json")
    form = None
    if (folder / "trajectory" / "config.json").is_file():
        form = TrajectoryFormat.from_pretrained(folder / "trajectory")
    return ImportedWeights(
        average=weights,
        live=weights,
        alphas_cumprod=_alphas_cumprod(scheduler, folder),
        horizon=None if form is None else form.config.horizon,
        # If the key is missing, diffusers assumes epsilon, which the published hopper models do not predict.
        prediction_type=scheduler.get("prediction_type"),
        clip_sample=scheduler.get("clip_sample"),
        form=form,
    )


def _weights(place: Path) -> dict[str, Tensor]:
    file = place / "diffusion_pytorch_model.safetensors"
    if file.is_file():
        try:
            return load_file(file)
        except SafetensorError as error:
            raise CheckpointError(f"{file} is truncated or no safetensors file: {error}.") from error
    file = file.with_suffix(".bin")
    if not file.is_file():
        raise CheckpointError(f"there are no weights in {place}: neither safetensors nor {file.name}.")
    return dict(read_tensors(file))


def _alphas_cumprod(config: dict[str, Any], folder: Path) -> Tensor:
    name = str(config.get("_class_name"))
    scheduler = getattr(diffusers, name, None)
    if not isinstance(scheduler, type) or not issubclass(scheduler, diffusers.SchedulerMixin):
        raise CheckpointError(f"{folder} has a scheduler {name!r}, which diffusers has not.")
    built: Any = scheduler.from_config(config)  # type: ignore[attr-defined]
    alphas: Tensor | None = getattr(built, "alphas_cumprod", None)
    if alphas is None:
        raise CheckpointError(f"{folder} has a {name}, whose noise no model here is trained on.")
    return alphas


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is missing or broken: {str(error).splitlines()[0]}.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is broken: it holds no settings.")
    return content


def find_state(path: Path, epoch: int | None = None) -> Path:
    """Returns the state file of a folder: the highest epoch, or the given one. A file is returned as it is.

    Raises:
        CheckpointError: there is none, or the file is one of the pickled configs.
    """
    if path.suffix == ".pkl":
        raise CheckpointError(
            f"{path} is a pickle, which can run any code, and is not loaded; give the state_<epoch>.pt beside it, from "
            "which all that is needed is told."
        )
    if path.is_file():
        return path
    states = {int(found.group(1)): file for file in path.glob("state_*.pt") if (found := _epoch(file))}
    if not states or (epoch is not None and epoch not in states):
        wanted = "state_<epoch>.pt" if epoch is None else f"state_{epoch}.pt"
        raise CheckpointError(f"there is no {wanted} in {path}.")
    return states[max(states) if epoch is None else epoch]


def read_original(path: Path, kind: Kind, prediction_type: str | None = None) -> ImportedWeights:
    """Reads one network of the original repository.

    Args:
        path: Its ``state_<epoch>.pt``.
        kind: Which network it must be.
        prediction_type: What it predicts, which the file does not say; None takes what all released models predict.

    Raises:
        CheckpointError: it cannot be read, would run code, or is no such network.
    """
    state = read_tensors(path)
    if not isinstance(state, dict) or not {"model", "ema"} <= state.keys():
        raise CheckpointError(f"{path} is no state of the original repository: it has no 'model' and 'ema'.")
    diffusion: Mapping[str, Tensor] = state["ema"]
    weights = diffusion.get("loss_fn.weights")
    return ImportedWeights(
        average=_renamed(diffusion, kind, path),
        live=_renamed(state["model"], kind, path),
        step=int(state.get("step", 0)),
        alphas_cumprod=diffusion.get("alphas_cumprod"),
        horizon=None if weights is None or weights.ndim != 2 else len(weights),
        prediction_type=prediction_type or "sample",
    )


def _renamed(diffusion: Mapping[str, Tensor], kind: Kind, path: Path) -> dict[str, Tensor]:
    network = {
        _MAZE_RESAMPLE.sub(r"\1.\2.3.conv.", name.removeprefix("model.")): value
        for name, value in diffusion.items()
        if name.startswith("model.")
    }
    levels = {int(found.group(1)) for name in network if (found := _LEVEL[kind].match(name))}
    if not levels:
        raise CheckpointError(f"{path} holds no {kind}.")
    layers = denoiser_layers if kind == "denoiser" else critic_layers
    try:
        return translate(network, layers(len(levels)), "original")
    except KeyError as error:
        raise CheckpointError(f"{path} has weights that no {kind} here has: {error}.") from error


def _epoch(file: Path) -> re.Match[str] | None:
    return re.fullmatch(r"state_(\d+)\.pt", file.name)
