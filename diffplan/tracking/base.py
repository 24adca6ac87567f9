"""What every logger of a run offers, and plain values for JSON, YAML and W&B."""

import math
from abc import ABC, abstractmethod
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger

from diffplan.run.result import Result, WandbIdentity


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


class AbstractRunLogger(Logger, ABC):
    """A Lightning logger that also takes the config, pictures, videos and tables.

    Every method may be called on every process; only the first one (rank zero) writes.
    """

    @abstractmethod
    def log_config(self, config: Mapping[str, Any], groups: Mapping[str, str | int | float | bool | None]) -> None:
        """Records how the run was set up.

        Args:
            config: The whole resolved config, plain values only.
            groups: Flat keys to group runs by: ``task``, ``name``, ``seed``, ``ablation``...
        """

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

    def log_page(self, key: str, path: Path, step: int) -> None:
        """Records an HTML page of charts; a logger that cannot show pages ignores it.

        Args:
            key: Metric key, such as ``schedulers/charts``.
            path: Self-contained HTML file.
            step: Training step.
        """

    def log_result(self, result: Result) -> None:
        """Records the run's final result where it can be read back; its file in the run folder is written already.

        Args:
            result: What tables are made from.
        """

    def wandb_identity(self) -> WandbIdentity | None:
        """Names the W&B run that is written to; None for other loggers."""
        return None

    @abstractmethod
    def where_to_look(self) -> str:
        """Returns one sentence that tells a person where this logger's results are."""


class StageLogger(Logger):
    """Wraps a logger so that finishing an earlier stage, such as the critic, does not close the run.

    Args:
        run_logger: The run's logger.
    """

    def __init__(self, run_logger: AbstractRunLogger) -> None:
        super().__init__()
        self.run_logger = run_logger

    @property
    def name(self) -> str | None:
        return self.run_logger.name

    @property
    def version(self) -> int | str | None:
        return self.run_logger.version

    @property
    def save_dir(self) -> str | None:
        return self.run_logger.save_dir

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.run_logger.log_metrics(dict(metrics), step)

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        self.run_logger.log_hyperparams(params, *args, **kwargs)

    def finalize(self, status: str) -> None:
        """Passes on failures only, because after a success the next stage goes on with the same run."""
        if status != "success":
            self.run_logger.finalize(status)
