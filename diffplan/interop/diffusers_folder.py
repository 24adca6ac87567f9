"""Reads the files of a folder in diffusers' layout as plain values and tensors; nothing that a file names is imported.

A folder may come from anywhere. So a file must be an ordinary one that lies in the folder, JSON must be small and
become values of known types, and weights must be plain tensors of finite numbers.
"""

import inspect
import json
import logging
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import diffusers
from diffusers import ConfigMixin
from huggingface_hub import snapshot_download
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from diffplan.config.stored_settings import part_settings, shown
from diffplan.errors import CheckpointError, ConfigError, closest
from diffplan.interop.plain_tensors import check_noise, check_sizes, plain_tensors
from diffplan.run.checkpoint import read_tensors

_MOST_JSON_BYTES = 2**20
_MOST_LETTERS = 200
_SCHEDULER_NAME = re.compile(r"[A-Za-z0-9]{1,100}Scheduler")
_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_DOWNLOAD = ("cache_dir", "force_download", "local_files_only", "token", "revision")
# Settings of diffusers' ``from_pretrained`` that change nothing here.
_WITHOUT_EFFECT = ("low_cpu_mem_usage", "use_safetensors")
# No pickles: a repository that holds nothing else is refused when its weights are looked for.
_PATTERNS = ["*.json", "*.safetensors", "README.md"]

logger = logging.getLogger(__name__)

Settings = TypeVar("Settings", bound=BaseModel)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns what the operating system refuses while a path is read into one sentence.

    Raises:
        CheckpointError: The message names the path and the reason.
    """
    try:
        yield
    except OSError as error:
        raise CheckpointError(f"{error.filename or path} cannot be read: {error.strerror or error}.") from error


def local_folder(place: str | os.PathLike, settings: Mapping[str, Any]) -> Path:
    """Finds a folder on disk, or fetches it from the Hub if the name cannot mean a folder that is here.

    Args:
        place: Folder, or name on the Hub, such as ``somebody/hopper``.
        settings: Those of diffusers' ``from_pretrained`` that say how it is fetched.

    Raises:
        CheckpointError: There is no such folder and no such repository.
        ConfigError: A setting is not known.
    """
    if unknown := settings.keys() - {*_DOWNLOAD, *_WITHOUT_EFFECT}:
        word = min(unknown)
        raise ConfigError(f"from_pretrained takes no {word!r} here{closest(word, (*_DOWNLOAD, *_WITHOUT_EFFECT))}")
    download = {key: value for key, value in settings.items() if key in _DOWNLOAD}
    folder = Path(place)
    with reading(folder):
        if folder.is_dir():
            return folder
        # A name on the Hub has one parent, which is no folder here.
        if os.path.lexists(folder) or folder.parent.is_dir() or not _HUB_NAME.fullmatch(str(place)):
            raise CheckpointError(f"there is no folder at {folder}.")
    try:
        return Path(snapshot_download(str(place), allow_patterns=_PATTERNS, **download))
    except (OSError, ValueError) as error:  # The errors of the Hub and of the network inherit from these.
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise CheckpointError(f"there is no folder at {folder}, and the Hub does not give it: {reason}") from error


def has_file(folder: Path, name: str) -> bool:
    """Tells whether a folder has a file, or something else, of a name."""
    with reading(folder / name):
        return os.path.lexists(folder / name)


def plain_file(folder: Path, name: str) -> Path:
    """Returns an ordinary file of a folder.

    Args:
        folder: Folder of a model.
        name: Of the file, relative to the folder.

    Raises:
        CheckpointError: The file is missing, cannot be read, lies outside the folder or is no ordinary file.
    """
    path = folder / name
    with reading(path):
        home, real = (Path(os.path.realpath(each, strict=True)) for each in (folder, path))
        is_ordinary = stat.S_ISREG(real.stat().st_mode)
    # What the Hub's cache calls a snapshot is a folder of links into its neighbour `blobs`.
    homes = [home, home.parent.with_name("blobs")] if home.parent.name == "snapshots" else [home]
    if not any(real.is_relative_to(each) for each in homes):
        raise CheckpointError(f"{path} is a link to a file outside the folder, which is not followed.")
    if not is_ordinary:
        raise CheckpointError(f"{path} is no ordinary file.")
    return path


def read_settings(path: Path) -> dict[str, Any]:
    """Reads a JSON file of settings.

    Raises:
        CheckpointError: The file is missing, too large, or holds no settings.
    """
    with reading(path):
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise CheckpointError(f"{path} is no ordinary file.")
        if status.st_size > _MOST_JSON_BYTES:
            raise CheckpointError(
                f"{path} has {status.st_size:,} bytes, and settings have {_MOST_JSON_BYTES:,} at most."
            )
        text = path.read_bytes()
    try:
        content = json.loads(text.decode(), object_pairs_hook=_without_repetition)
    except RecursionError as error:
        raise CheckpointError(f"{path} is broken: its values are nested too deeply.") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is broken: {str(error).splitlines()[0].rstrip('.')}.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is broken: it holds no settings.")
    return content


def typed_settings(kind: type[Settings], content: Mapping[str, Any], path: Path) -> Settings:
    """Checks settings of a file. Names that begin with an underscore are notes of diffusers and are left out.

    Args:
        kind: What the settings must be.
        content: The file's values.
        path: The file, for messages.

    Raises:
        CheckpointError: The message names the first wrong setting.
    """
    try:
        return kind.model_validate({key: value for key, value in content.items() if not key.startswith("_")})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:_MOST_LETTERS]
        reason = first["msg"].replace("\n", " ").rstrip(".")
        raise CheckpointError(f"{path} has a wrong {where!r}: {reason[0].lower()}{reason[1:]}.") from error


def build_scheduler(config: Mapping[str, Any], folder: Path, advice: str = "") -> Any:
    """Builds a scheduler of diffusers from plain values. Settings that its class does not have are left out.

    Args:
        config: Settings of the scheduler, with its class.
        folder: The pipeline's folder that they are from, for messages.
        advice: What a user can do about a scheduler that is not known.

    Raises:
        CheckpointError: Diffusers has no such scheduler, or a setting is none that it can have.
    """
    name = str(config.get("_class_name"))
    kind: Any = getattr(diffusers, name, None) if _SCHEDULER_NAME.fullmatch(name) else None
    # The base classes of schedulers inherit from one of these two alone.
    if not (isinstance(kind, type) and issubclass(kind, diffusers.SchedulerMixin) and issubclass(kind, ConfigMixin)):
        raise CheckpointError(f"{folder} has a scheduler {shown(name)}, which diffusers does not have{advice}.")
    defaults = {key: taken.default for key, taken in inspect.signature(kind).parameters.items()}
    for key in config:
        if key not in defaults and not key.startswith("_"):
            logger.warning("The %s in %s has no setting %s; it is left out.", name, folder, shown(key))
        elif isinstance(config[key], dict) and not key.startswith("_"):
            raise CheckpointError(f"{folder}/scheduler.{key} must be a plain value, got {shown(config[key])}.")
    # A default may be a number that no file may otherwise give, such as minus infinity.
    given = {key: value for key, value in config.items() if key in defaults and value != defaults[key]}
    settings = part_settings("scheduler", {"_target_": f"diffusers.{name}", **given}, f"{folder}/scheduler")
    del settings["_target_"]
    try:
        scheduler = kind(**settings)
    except Exception as error:  # Diffusers' constructors raise errors of many kinds for values they cannot use.
        reason = str(error).partition("\n")[0].rstrip(".")
        raise CheckpointError(f"the settings in {folder}/scheduler do not go together: {reason}.") from error
    if getattr(scheduler, "alphas_cumprod", None) is not None:
        check_noise(scheduler.alphas_cumprod, f"{folder}/scheduler")
    return scheduler


def read_weights(folder: Path, part: str) -> dict[str, Tensor]:
    """Reads the weights of one part of a model: a safetensors file, or what ``torch.save`` wrote.

    Args:
        folder: Folder of the model.
        part: Folder of the part in it; ``.`` is the model's folder itself.

    Returns:
        Single-precision tensors by name.

    Raises:
        CheckpointError: There are none, or the file is broken, would run code, or holds something else than tensors of
            finite numbers.
    """
    name = f"{part}/diffusion_pytorch_model"
    if has_file(folder, f"{name}.safetensors"):
        path = plain_file(folder, f"{name}.safetensors")
        try:
            with reading(path), safe_open(path, "pt") as file:
                # Shapes are in the head of the file, so a file that is too large is refused before memory is taken.
                check_sizes({key: file.get_slice(key).get_shape() for key in file.keys()}, path)  # noqa: SIM118
                return plain_tensors({key: file.get_tensor(key) for key in file.keys()}, path)  # noqa: SIM118
        except SafetensorError as error:
            raise CheckpointError(f"{path} is truncated or no safetensors file: {error}.") from error
    if not has_file(folder, f"{name}.bin"):
        raise CheckpointError(
            f"there are no weights in {folder / part}: neither safetensors nor diffusion_pytorch_model.bin."
        )
    path = plain_file(folder, f"{name}.bin")
    return plain_tensors(read_tensors(path), path)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a setting is given twice")
    return content
