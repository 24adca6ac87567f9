"""Reads the settings that a checkpoint was trained with, without its tensors and without importing torch."""

import io
import pickle
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from diffplan.config.archive import open_archive, read_entry
from diffplan.config.parts import with_targets, with_whole_modules
from diffplan.config.stored_settings import part_settings, plain_settings, shown, typed
from diffplan.config.task import Task
from diffplan.errors import CheckpointError, DiffplanError, closest

_CONTENT = "/data.pkl"
_PREDICTIONS = Literal["sample", "epsilon", "v_prediction"]


def checkpoint_settings(path: Path) -> dict[str, Any]:
    """Reads the resolved config out of a checkpoint.

    Nothing that the file names is imported or called, so this is safe for files of any origin.

    Args:
        path: A ``.ckpt`` file.

    Returns:
        What ``training_settings`` returns.

    Raises:
        CheckpointError: the file cannot be read, or has no usable config.
    """
    with open_archive(path) as archive:
        entry = next((entry for entry in archive.infolist() if entry.filename.endswith(_CONTENT)), None)
        if entry is None:
            raise CheckpointError(
                f"{path} is truncated or not a checkpoint: it has no entry that ends with {_CONTENT}."
            )
        pickled = read_entry(archive, path, entry)
    try:
        content = _SettingsUnpickler(io.BytesIO(pickled)).load()
    except Exception as error:
        # Hostile content makes an unpickler raise errors of every kind.
        raise CheckpointError(f"{path} is not a checkpoint: its content cannot be decoded.") from error
    origin = content.get("diffplan") if isinstance(content, dict) else None
    if not isinstance(origin, dict) or "config" not in origin:
        raise CheckpointError(f"{path} is no checkpoint of diffplan: it has no 'diffplan' entry with its config.")
    with usable(path):
        return training_settings(origin["config"])


@contextmanager
def usable(path: Path | str) -> Iterator[None]:
    """Names the file in the message about what is wrong in it."""
    try:
        yield
    except DiffplanError as error:
        raise CheckpointError(f"{path} cannot be used: {error}") from error


def training_settings(config: Any) -> dict[str, Any]:
    """Checks the config of a training that a file holds, as far as it is kept and shown.

    Settings that something is built from must be checked further, with ``planning_settings`` or ``part_settings``.

    Args:
        config: What the file holds.

    Returns:
        Plain values; the known parts have their present ``_target_``, whatever the format.

    Raises:
        CheckpointError: it is no such config; the message names the wrong setting.
    """
    if not isinstance(config, dict):
        raise CheckpointError(f"its config must be a group of settings, got {shown(config)}.")
    settings = with_targets(plain_settings(config, "config"))
    try:
        # Results are compared by the modules, which repeat other groups.
        with_whole_modules(settings)
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError("its module, critic or datamodule lacks settings.") from error
    return settings


def planning_settings(trained: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what an evaluation takes from the training of its checkpoint, each value checked against its type.

    Args:
        trained: What ``training_settings`` returned.

    Returns:
        Values of the settings that have ``from_checkpoint`` in ``SETTINGS``. The classes of task and scheduler are
        named by this package.

    Raises:
        DiffplanError: a setting is missing or cannot be used.
    """
    # A model is rebuilt without OmegaConf.
    from diffplan.config.settings import SETTINGS

    for key, value in trained.items():
        if key not in SETTINGS:
            raise CheckpointError(f"there is no setting {key!r}{closest(str(key), set(SETTINGS))}")
        if SETTINGS[key].is_group and not isinstance(value, dict | None):
            raise CheckpointError(f"{key} must be a group of settings, got {shown(value)}.")
    task = part_settings("body", trained.get("task"), "task")
    Task(**{key: value for key, value in task.items() if key != "_target_"})
    scheduler = part_settings("scheduler", trained.get("scheduler"), "scheduler")
    is_flow = "FlowMatch" in scheduler["_target_"]
    for key in ("num_train_timesteps", "prediction_type"):
        if key not in scheduler and not (is_flow and key == "prediction_type"):
            raise CheckpointError(f"scheduler lacks the setting {key!r}.")
    predicts = "flow" if is_flow else typed(scheduler["prediction_type"], _PREDICTIONS, "scheduler.prediction_type")
    return {
        "prediction_type": predicts,
        "scheduler": scheduler,
        "task": task,
        "seed": typed(trained.get("seed"), int, "seed"),
        "name": typed(trained.get("name"), str, "name"),
    }


def size_settings(trained: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings that the size of a trained model follows from, each checked against its type.

    Args:
        trained: What ``training_settings`` returned.

    Returns:
        The groups ``backbone``, ``window`` with its horizon, and ``critic`` with its network, if it has one.

    Raises:
        CheckpointError: a setting is missing or cannot be used.
    """
    horizon = typed((trained.get("datamodule") or {}).get("horizon"), int, "datamodule.horizon")
    network = (trained.get("critic") or {}).get("backbone")
    return {
        "backbone": part_settings("backbone", trained.get("backbone"), "backbone"),
        "window": {"horizon": horizon},
        "critic": {"backbone": network and part_settings("backbone", network, "critic.backbone")},
    }


class _Ignored:
    """Stands for every tensor and object of a checkpoint."""

    def __init__(self, *_: Any) -> None:
        pass

    def __call__(self, *_: Any) -> "_Ignored":
        return self

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, item: Any) -> None:
        """Ignores an item."""

    def extend(self, items: Any) -> None:
        """Ignores items."""


# The unpickler in C reserves memory for as many objects as a file claims to refer to; this one does not.
class _SettingsUnpickler(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> type:
        return OrderedDict if (module, name) == ("collections", "OrderedDict") else _Ignored

    def persistent_load(self, identifier: Any) -> None:
        return None
