from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from lightning.pytorch.loggers import Logger

from diffplan.logger.base import AbstractRunLogger


class StageLogger(Logger):
    """Lends a run's logger to a stage that is not the last: the stage's end does not end the run.

    Args:
        run_logger: The run's logger.
    """

    def __init__(self, run_logger: AbstractRunLogger) -> None:
        super().__init__()
        self.run_logger = run_logger

    @property
    def name(self) -> str | None:
        """The run's."""
        return self.run_logger.name

    @property
    def version(self) -> int | str | None:
        """The run's."""
        return self.run_logger.version

    @property
    def save_dir(self) -> str | None:
        """The run's."""
        return self.run_logger.save_dir

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Hands on."""
        self.run_logger.log_metrics(dict(metrics), step)

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Hands on."""
        self.run_logger.log_hyperparams(params, *args, **kwargs)

    def finalize(self, status: str) -> None:
        """Hands on everything but success."""
        if status != "success":
            self.run_logger.finalize(status)
