"""A pipeline's folder: finding it, and the index in it."""

import json
import os
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download

_PLACES = ("cache_dir", "force_download", "local_files_only", "token", "revision")
# No pickles: a repository with nothing else is refused when its weights are looked for.
_PATTERNS = ["*.json", "*.safetensors", "README.md"]


def local_folder(name_or_path: str | os.PathLike, settings: dict[str, Any]) -> Path:
    """Returns a pipeline's folder, downloaded from the Hub where it is not on this machine.

    Args:
        name_or_path: Folder, or ``owner/name`` on the Hub.
        settings: Of ``from_pretrained``; those that say how to download are taken out.
    """
    places = {key: settings.pop(key) for key in _PLACES if key in settings}
    folder = Path(name_or_path)
    if folder.is_dir():
        return folder
    return Path(snapshot_download(str(name_or_path), allow_patterns=_PATTERNS, **places))


def write_index(path: Path) -> None:
    """Makes a saved pipeline's index one that ``ValueGuidedRLPipeline`` reads.

    The trajectory format is found by its folder; that pipeline knows no such component and would warn of it.

    Args:
        path: The index, written by ``DiffusionPipeline.save_config``.
    """
    index = json.loads(path.read_text())
    index.pop("trajectory", None)
    if all(index.get(name, [None])[0] == "diffusers" for name in ("unet", "value_function")):
        index["_class_name"] = "ValueGuidedRLPipeline"
    path.write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")
