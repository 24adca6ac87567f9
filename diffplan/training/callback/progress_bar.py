"""The progress of training: a bar in a terminal, plain lines elsewhere."""

import logging
import time
from multiprocessing import current_process
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from rich.console import Console

# In a log file a line is written for every such share of the steps, and at least every so many seconds, but no two
# lines within the shortest time.
_SHARE = 0.05
_LONGEST_SECONDS, _SHORTEST_SECONDS = 30.0, 2.0

logger = logging.getLogger(__name__)


class ProgressBar(RichProgressBar):
    """Shows steps, loss, speed and time left: as one line that moves in a terminal, as log lines without a terminal.

    A process that shares its terminal with others, as the cells of a parallel sweep do, shows nothing there.
    """

    def __init__(self) -> None:
        is_alone = current_process().name == "MainProcess"
        self._writes_lines = not Console().is_terminal
        super().__init__(refresh_rate=1 if is_alone and not self._writes_lines else 0)
        self._first_step = self._last_step = 0
        self._started = self._last_time = 0.0

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Keeps the loss; the bar has its own speed."""
        metrics = super().get_metrics(trainer, pl_module)
        loss = metrics.get(f"{getattr(pl_module, 'stage', 'train')}/loss")
        return {} if loss is None else {"loss": loss}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._first_step = self._last_step = trainer.global_step
        self._started = self._last_time = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if not self._writes_lines or not trainer.is_global_zero or trainer.global_step == self._last_step:
            return
        step, now = trainer.global_step, time.monotonic()
        interval = max(trainer.max_steps * _SHARE, 1)
        is_due = step // interval > self._last_step // interval and now - self._last_time >= _SHORTEST_SECONDS
        if is_due or now - self._last_time >= _LONGEST_SECONDS or step == trainer.max_steps:
            self._last_step, self._last_time = step, now
            logger.info(self._line(trainer, pl_module, now))

    def _line(self, trainer: Trainer, pl_module: LightningModule, now: float) -> str:
        step, last = trainer.global_step, trainer.max_steps
        speed = (step - self._first_step) / max(now - self._started, 1e-9)
        loss = self.get_metrics(trainer, pl_module).get("loss")
        return ", ".join(
            [
                f"{self._get_train_description(0).lower()}: step {step:,} of {last:,} ({step / last:.0%})",
                *([] if loss is None else [f"loss {float(loss):.4g}"]),
                f"{speed:.3g} steps/s",
                f"{_duration((last - step) / speed)} left",
            ]
        )

    def _get_train_description(self, current_epoch: int) -> str:
        # Training is one pass over an endless stream, so an epoch number would say nothing.
        is_critic = getattr(self.trainer.lightning_module, "stage", "train") == "critic"
        return "Critic" if is_critic else "Training"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
