"""Reading a folder in diffusers' layout: an export of ours, or one that a ``ValueGuidedRLPipeline`` saved."""

import json
from pathlib import Path
from typing import Any

import diffusers
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from diffplan.errors import CheckpointError
from diffplan.interop.diffusers_networks import check_critic_config, check_denoiser_config
from diffplan.interop.imported_weights import ImportedWeights
from diffplan.interop.layer_names import critic_layers, denoiser_layers, translate
from diffplan.interop.original_state import Kind
from diffplan.interop.trajectory_format import TrajectoryFormat
from diffplan.run.checkpoint import read_tensors

_SUBFOLDER = {"denoiser": "unet", "critic": "value_function"}
_OWN = {"denoiser": "DenoiserModel", "critic": "CriticModel"}


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
        check = check_denoiser_config if kind == "denoiser" else check_critic_config
        check(config)
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
        # Left out, diffusers takes epsilon, which the published hopper models do not predict.
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
    alphas: torch.Tensor | None = getattr(built, "alphas_cumprod", None)
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
