from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar


class ProgressBar(RichProgressBar):
    """Lightning's rich progress bar with steps, time left, speed and loss on one line."""

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Keeps the loss; the bar has its own speed."""
        metrics = super().get_metrics(trainer, pl_module)
        return {"loss": metrics["train/loss"]} if "train/loss" in metrics else {}

    def _get_train_description(self, current_epoch: int) -> str:
        # Training is one pass over an endless stream, so an epoch number would say nothing.
        return "Training"
