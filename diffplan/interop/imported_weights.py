"""Weights of models from elsewhere: folders in diffusers' layout, and states of the original repository."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diffusers import UNet1DModel
from jaxtyping import Float
from torch import Tensor

from diffplan.errors import CheckpointError, TaskMismatchError
from diffplan.interop.diffusers_folder import (
    build_scheduler,
    has_file,
    plain_file,
    read_settings,
    read_weights,
    reading,
)
from diffplan.interop.diffusers_networks import described_network, own_names
from diffplan.interop.network_layers import Kind, translate
from diffplan.interop.plain_tensors import check_noise, plain_tensors
from diffplan.interop.trajectory_format import TrajectoryFormat
from diffplan.run.checkpoint import read_tensors

_MOST_STEPS = 10**12
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
    with reading(source):
        if not os.path.lexists(source):
            raise CheckpointError(f"there is nothing at {source!s:.300}.")
        if source.is_dir():
            os.listdir(source)  # A folder that cannot be read would seem to be empty.
        if has_file(source, "model_index.json"):
            has_critic = has_file(source, "value_function")
            return read_diffusers(source, "denoiser"), read_diffusers(source, "critic") if has_critic else None
        denoiser = read_original(find_state(source, epoch), "denoiser", prediction_type)
    with reading(Path(critic or "")):
        return denoiser, None if critic is None else read_original(find_state(Path(critic)), "critic")


def read_diffusers(folder: Path, kind: Kind) -> ImportedWeights:
    """Reads one network of a pipeline's folder.

    Raises:
        CheckpointError: The network cannot be read, would run code, or computes what no network here does.
    """
    part = "unet" if kind == "denoiser" else "value_function"
    place = plain_file(folder, f"{part}/config.json")
    config, weights = read_settings(place), read_weights(folder, part)
    network, _ = described_network(config, weights, kind, place)
    weights = translate(weights, kind, "diffusers", place.parent) if network is UNet1DModel else own_names(weights)
    said = read_settings(plain_file(folder, "scheduler/scheduler_config.json"))
    scheduler = build_scheduler(said, folder)
    alphas_cumprod = getattr(scheduler, "alphas_cumprod", None)
    if alphas_cumprod is None:
        raise CheckpointError(f"{folder} has a {type(scheduler).__name__}, whose noise no model here is trained on.")
    form = TrajectoryFormat.from_pretrained(folder, "trajectory") if has_file(folder, "trajectory") else None
    if form is not None and "prediction_type" in said:
        form.check_scheduler(scheduler)
    return ImportedWeights(
        average=weights,
        live=weights,
        alphas_cumprod=alphas_cumprod,
        horizon=None if form is None else form.config.horizon,
        # If the key is missing, diffusers assumes epsilon, which the published hopper models do not predict.
        prediction_type=scheduler.config.prediction_type if "prediction_type" in said else None,
        clip_sample=scheduler.config.get("clip_sample") if "clip_sample" in said else None,
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
    diffusion, live = (plain_tensors(state[key], f"'{key}' of {path}") for key in ("ema", "model"))
    noise, loss, step = diffusion.get("alphas_cumprod"), diffusion.get("loss_fn.weights"), state.get("step", 0)
    if noise is not None:
        check_noise(noise, path)
    if not isinstance(step, int) or not 0 <= step <= _MOST_STEPS:
        raise CheckpointError(f"{path} holds a 'step' that is no number of optimiser steps.")
    return ImportedWeights(
        average=_renamed(diffusion, kind, path),
        live=_renamed(live, kind, path),
        step=int(step),
        alphas_cumprod=noise,
        horizon=None if loss is None or loss.ndim != 2 else len(loss),
        prediction_type=prediction_type or "sample",
    )


def _renamed(diffusion: Mapping[str, Tensor], kind: Kind, path: Path) -> dict[str, Tensor]:
    network = {
        _MAZE_RESAMPLE.sub(r"\1.\2.3.conv.", name.removeprefix("model.")): value
        for name, value in diffusion.items()
        if name.startswith("model.")
    }
    return translate(network, kind, "original", path)
