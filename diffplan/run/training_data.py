"""Reads the data that a model was trained on, as its checkpoint describes it."""

from collections.abc import Mapping
from typing import Any

from diffplan.data.source.base import Transitions
from diffplan.data.source.d4rl_source import D4RLSource
from diffplan.errors import ConfigError, DataError
from diffplan.run.checkpoint import build_part


def read_training_data(checkpoint: Mapping[str, Any], path: str | None = None) -> Transitions:
    """Reads the data where the training read it. Nothing is downloaded or generated.

    Args:
        checkpoint: What ``read_checkpoint`` returned.
        path: File that holds the data now, in D4RL's layout; None is the place of the training.

    Raises:
        DiffplanError: the data is not there or cannot be read, or it is not what the model was trained on.
    """
    origin = checkpoint["diffplan"]
    node = (origin["config"].get("datamodule") or {}).get("source")
    if path is not None and isinstance(node, dict) and "path" in node:
        node = node | {"path": None}
    source = build_part("source", node, "source")
    if path is not None:
        if not isinstance(source, D4RLSource):
            raise ConfigError(f"data_path names a file in D4RL's layout, but {type(source).__name__} reads other data.")
        source.path = path
    found, trained = source.identity(), origin["data"]
    if found.sha256 != trained["sha256"]:
        raise DataError(f"the data '{found.name}' that is there is not the data that the model was trained on.")
    return source.read()
