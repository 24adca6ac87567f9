"""Reads the files of a folder in diffusers' layout; no class is built that such a file names and diffusers lacks."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from diffplan.errors import CheckpointError
from diffplan.run.checkpoint import read_tensors


def read_settings(path: Path) -> dict[str, Any]:
    """Reads a JSON file of settings.

    Raises:
        CheckpointError: The file is missing or holds no settings.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is missing or broken: {str(error).splitlines()[0]}.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is broken: it holds no settings.")
    return content


def build_scheduler(config: Mapping[str, Any], folder: Path, advice: str = "") -> Any:
    """Builds a scheduler of diffusers.

    Args:
        config: Settings of the scheduler, with its class.
        folder: The pipeline's folder that they are from, for messages.
        advice: What a user can do about a scheduler that is not known.

    Raises:
        CheckpointError: Diffusers has no such scheduler.
    """
    kind: Any = getattr(diffusers, str(config.get("_class_name")), None)
    if not (isinstance(kind, type) and issubclass(kind, diffusers.SchedulerMixin)):
        raise CheckpointError(
            f"{folder} has a scheduler {config.get('_class_name')!r}, which diffusers does not have{advice}."
        )
    return kind.from_config(config)  # type: ignore[attr-defined]


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Reads the weights of one network: a safetensors file, or what ``torch.save`` wrote.

    Raises:
        CheckpointError: There are none, or the file is broken or would run code.
    """
    file = folder / "diffusion_pytorch_model.safetensors"
    if file.is_file():
        try:
            return load_file(file)
        except SafetensorError as error:
            raise CheckpointError(f"{file} is truncated or no safetensors file: {error}.") from error
    file = file.with_suffix(".bin")
    if not file.is_file():
        raise CheckpointError(f"there are no weights in {folder}: neither safetensors nor {file.name}.")
    return dict(read_tensors(file))
