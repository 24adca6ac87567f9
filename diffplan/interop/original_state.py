"""Reading ``state_<epoch>.pt`` of the original repository, without its pickled configs."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from torch import Tensor

from diffplan.errors import CheckpointError
from diffplan.interop.imported_weights import ImportedWeights
from diffplan.interop.layer_names import critic_layers, denoiser_layers, translate
from diffplan.run.checkpoint import read_tensors

Kind = Literal["denoiser", "critic"]

_LEVEL = {"denoiser": re.compile(r"downs\.(\d+)\."), "critic": re.compile(r"blocks\.(\d+)\.")}
# In the branch of the mazes there is no attention, so what follows it has its number.
_MAZE_RESAMPLE = re.compile(r"^(downs|ups)\.(\d+)\.2\.conv\.")


def find_state(path: Path, epoch: int | None = None) -> Path:
    """Returns the file meant by a file or by a folder of them: the highest epoch, or the given one.

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
        prediction_type: What it predicts, which the file does not tell; None: what all released models do.

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
