"""Weights of models from elsewhere: folders in diffusers' layout, and states of the original repository."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from diffplan.errors import CheckpointError, TaskMismatchError
from diffplan.interop.diffusers_folder import build_scheduler, read_settings, read_weights
from diffplan.interop.diffusers_networks import check_config
from diffplan.interop.network_layers import Kind, translate
from diffplan.interop.trajectory_format import TrajectoryFormat
from diffplan.run.checkpoint import read_tensors

# The maze branch has no attention, so the layer after it has the number of the attention.
_MAZE_RESAMPLE = re.compile(r"^(downs|ups)\.(\d+)\.2\.conv\.")


@dataclass(frozen=True)
class ImportedWeights:
    """One network with its weights under our names, and the facts that its file states.

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

    def with_facts(self, **given: Any) -> "ImportedWeights":
        """Adds facts that a user states. A value of None adds nothing.

        Raises:
            TaskMismatchError: The file says something else.
        """
        given = {key: value for key, value in given.items() if value is not None}
        for key, value in given.items():
            if getattr(self, key) not in (None, value):
                raise TaskMismatchError(f"the files say {key}={getattr(self, key)}, not {value}.")
        return replace(self, **given)


def read_networks(
    source: Path, critic: str | None, epoch: int | None, prediction_type: str | None
) -> tuple[ImportedWeights, ImportedWeights | None]:
    """Reads a denoiser, and its critic if there is one, from diffusers' layout or the original's.

    Args:
        source: Folder in diffusers' layout, folder of the original's states, or one state.
        critic: The original's critic.
        epoch: Which of several states; None for the last.
        prediction_type: What the original's denoiser predicts; None if not stated.

    Raises:
        CheckpointError: There is no model, or it cannot be read.
    """
    if not source.exists():
        raise CheckpointError(f"there is nothing at {source}.")
    if (source / "model_index.json").is_file():
        has_critic = (source / "value_function").is_dir()
        return read_diffusers(source, "denoiser"), read_diffusers(source, "critic") if has_critic else None
    denoiser = read_original(find_state(source, epoch), "denoiser", prediction_type)
    return denoiser, None if critic is None else read_original(find_state(Path(critic)), "critic")


def read_diffusers(folder: Path, kind: Kind) -> ImportedWeights:
    """Reads one network of a pipeline's folder.

    Raises:
        CheckpointError: The network cannot be read, would run code, or computes what no network here does.
    """
    place = folder / ("unet" if kind == "denoiser" else "value_function")
    config, weights = read_settings(place / "config.json"), read_weights(place)
    if config.get("_class_name") == ("DenoiserModel" if kind == "denoiser" else "CriticModel"):
        weights = {name.removeprefix("network."): value for name, value in weights.items()}
    else:
        check_config(config, kind)
        weights = translate(weights, kind, "diffusers", place)
    said = read_settings(folder / "scheduler" / "scheduler_config.json")
    scheduler = build_scheduler(said, folder)
    alphas_cumprod = getattr(scheduler, "alphas_cumprod", None)
    if alphas_cumprod is None:
        raise CheckpointError(f"{folder} has a {type(scheduler).__name__}, whose noise no model here is trained on.")
    form = None
    if (folder / "trajectory" / "config.json").is_file():
        form = TrajectoryFormat.from_pretrained(folder / "trajectory")
    return ImportedWeights(
        average=weights,
        live=weights,
        alphas_cumprod=alphas_cumprod,
        horizon=None if form is None else form.config.horizon,
        # If the key is missing, diffusers assumes epsilon, which the published hopper models do not predict.
        prediction_type=said.get("prediction_type"),
        clip_sample=said.get("clip_sample"),
        form=form,
    )


def find_state(path: Path, epoch: int | None = None) -> Path:
    """Returns the state file of a folder: the highest epoch, or the given one. A file is returned as it is.

    Raises:
        CheckpointError: There is no such file, or it is a pickled config.
    """
    if path.suffix == ".pkl":
        raise CheckpointError(
            f"{path} is a pickle, which can run any code, and is not loaded; give the state_<epoch>.pt beside it, from "
            "which all that is needed is told."
        )
    if path.is_file():
        return path
    states = {
        int(found[1]): file
        for file in path.glob("state_*.pt")
        if (found := re.fullmatch(r"state_(\d+)\.pt", file.name))
    }
    if not states or (epoch is not None and epoch not in states):
        wanted = "state_<epoch>.pt" if epoch is None else f"state_{epoch}.pt"
        raise CheckpointError(f"there is no {wanted} in {path}.")
    return states[max(states) if epoch is None else epoch]


def read_original(path: Path, kind: Kind, prediction_type: str | None = None) -> ImportedWeights:
    """Reads one network of the original repository.

    Args:
        path: Its ``state_<epoch>.pt``.
        kind: Which network it must be.
        prediction_type: What the network predicts, because the file does not say it. None means ``sample``, as in all
            released models.

    Raises:
        CheckpointError: The file cannot be read, would run code, or holds another network.
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
    return translate(network, kind, "original", path)
