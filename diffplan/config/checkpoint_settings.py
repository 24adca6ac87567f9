"""Reads the settings that a checkpoint was trained with, without its tensors and without importing torch."""

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

from diffplan.config.parts import with_targets

_UNREADABLE = (zipfile.BadZipFile, pickle.UnpicklingError, OSError, EOFError, ImportError, LookupError, ValueError)


def checkpoint_settings(path: Path) -> dict[str, Any] | None:
    """Reads the resolved config out of a checkpoint.

    Nothing that the file names is imported or called, so this is safe for files of any origin.

    Args:
        path: A ``.ckpt`` file.

    Returns:
        Plain values with the present import paths; None if the file has none. Loading the checkpoint says why.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            with archive.open(name) as file:
                content = _SettingsUnpickler(file).load()
        config = content["diffplan"]["config"]
    except (*_UNREADABLE, StopIteration, AttributeError, TypeError):
        return None
    return with_targets(config) if isinstance(config, dict) else None


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


class _SettingsUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type:
        return OrderedDict if (module, name) == ("collections", "OrderedDict") else _Ignored

    def persistent_load(self, identifier: Any) -> None:
        return None
