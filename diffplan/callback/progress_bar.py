from multiprocessing import current_process
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar


class ProgressBar(RichProgressBar):
    """Lightning's rich progress bar with steps, time left, speed and loss on one line.

    None is drawn by a process that shares its terminal with others, as the cells of a parallel sweep do.
    """

    def __init__(self) -> None:
        super().__init__(refresh_rate=1 if current_process().name == "MainProcess" else 0)

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Keeps the loss; the bar has its own speed."""
        metrics = super().get_metrics(trainer, pl_module)
        loss = metrics.get(f"{getattr(pl_module, 'stage', 'train')}/loss")
        return {} if loss is None else {"loss": loss}

    def _get_train_description(self, current_epoch: int) -> str:
        # Training is one pass over an endless stream, so an epoch number would say nothing.
        is_critic = getattr(self.trainer.lightning_module, "stage", "train") == "critic"
        return "Critic" if is_critic else "Training"
