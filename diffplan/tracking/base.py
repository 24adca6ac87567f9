"""What every logger of a run offers, and plain values for JSON, YAML and W&B."""

import functools
import math
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec

from diffplan.errors import ConfigError
from diffplan.run.result import Result, WandbIdentity

PICTURES, VIDEOS = (".png", ".jpg", ".jpeg"), (".mp4",)
P = ParamSpec("P")


def plain_value(value: Any) -> Any:
    """Returns a value as plain Python: containers become dict and list, scalars of arrays and tensors numbers.

    Args:
        value: Anything. Numbers that are not finite become None, other objects their text.
    """
    if isinstance(value, Mapping):
        return {str(key): plain_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain_value(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy arrays and scalars, tensors
        return plain_value(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def is_first_process() -> bool:
    """Tells whether this is the only process of the run, or the one that writes for all (rank zero)."""
    # This module does not import torch, because tables are logged without it.
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return bool(distributed.get_rank() == 0)
    ranks = [os.environ[name] for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID") if name in os.environ]
    return not ranks or int(ranks[0]) == 0


def first_process_only(method: Callable[P, None]) -> Callable[P, None]:
    """Makes a method do nothing in all processes but the first one."""

    @functools.wraps(method)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        if is_first_process():
            method(*args, **kwargs)

    return wrapped


class AbstractRunLogger(ABC):
    """Takes everything that a run logs: its config, numbers, pictures, videos, tables and result.

    Every method may be called on every process; only the first one writes.
    """

    @abstractmethod
    def log_config(self, config: Mapping[str, Any], groups: Mapping[str, str | int | float | bool | None]) -> None:
        """Records how the run was set up.

        Args:
            config: The whole resolved config, plain values only.
            groups: Flat keys to group runs by: ``task``, ``name``, ``seed``, ``ablation``...
        """

    @abstractmethod
    def log_hyperparams(self, params: Mapping[str, Any]) -> None:
        """Records what Lightning modules saved as hyperparameters."""

    @abstractmethod
    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Records numbers by key at a training step."""

    @abstractmethod
    def log_media(self, key: str, path: Path, step: int) -> None:
        """Records a picture (png, jpg) or a video (mp4).

        Args:
            key: Metric key, such as ``eval/single_task/plans``.
            path: File to take; it is copied.
            step: Training step.

        Raises:
            ConfigError: the file is neither a picture nor a video.
        """

    @abstractmethod
    def log_table(self, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], step: int) -> None:
        """Records a table.

        Args:
            key: Metric key, such as ``eval/single_task/episodes``.
            columns: Column names.
            rows: One value per column; None where there is none.
            step: Training step.

        Raises:
            ConfigError: a row has another number of values than there are columns.
        """

    def log_page(self, key: str, path: Path, step: int) -> None:  # noqa: B027
        """Records an HTML page of charts; a logger that cannot show pages ignores it.

        Args:
            key: Metric key, such as ``schedulers/charts``.
            path: Self-contained HTML file.
            step: Training step.
        """

    def log_result(self, result: Result) -> None:  # noqa: B027
        """Records the run's final result where it can be read back; its file in the run folder is written already.

        Args:
            result: What tables are made from.
        """

    def wandb_identity(self) -> WandbIdentity | None:
        """Names the W&B run that is written to; None for other loggers."""
        return None

    def save(self) -> None:  # noqa: B027
        """Is called from time to time; a logger that keeps something back may write it now."""

    def sync(self) -> None:  # noqa: B027
        """Waits until all numbers are on the disk; a checkpoint that follows relies on it."""

    @abstractmethod
    def finalize(self, status: str) -> None:
        """Ends the run.

        Args:
            status: Lightning's word for how it ended: ``success``, ``failed``...
        """

    @abstractmethod
    def where_to_look(self) -> str:
        """Returns one sentence that tells a person where this logger's results are."""


def media_suffix(key: str, path: Path) -> str:
    """Returns the ending of a picture or video; raises a ``ConfigError`` for other files."""
    suffix = path.suffix.lower()
    if suffix not in PICTURES + VIDEOS:
        raise ConfigError(f"Media must be a png, jpg or mp4 file, got {path.name!r} for {key!r}.")
    return suffix


def plain_rows(key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Returns the rows of a table as plain values; raises a ``ConfigError`` if one has another length."""
    for row in rows:
        if len(row) != len(columns):
            raise ConfigError(f"Every row of {key!r} must have {len(columns)} values, got one with {len(row)}.")
    return [plain_value(row) for row in rows]


def first_line(error: BaseException) -> str:
    """Returns the first line of an error's message without its full stop."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
