import logging
import os
import shutil
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

from diffplan.errors import CheckpointError

logger = logging.getLogger(__name__)


class CheckpointCallback(Callback):
    """Writes ``last.ckpt``, whole or not at all, so that a run killed anywhere continues from its newest checkpoint.

    Written every so many steps, after the last step, when the process is told to stop (SIGTERM) and before an error ends
    training. A new file replaces the old one only after it is complete and on disk.

    Args:
        folder: Where ``last.ckpt`` lies.
        every_n_steps: Optimiser steps between two checkpoints.
        keep_every_n_steps: Keeps ``step=N.ckpt`` at every multiple; None keeps only the last.

    Raises:
        CheckpointError: it cannot be written; the previous one is untouched.
    """

    def __init__(self, folder: str, every_n_steps: int, keep_every_n_steps: int | None = None) -> None:
        self.folder = Path(folder)
        self.every_n_steps = every_n_steps
        self.keep_every_n_steps = keep_every_n_steps
        self._saved_step = -1

    @property
    def last_path(self) -> Path:
        """The newest checkpoint."""
        return self.folder / "last.ckpt"

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Nothing new to save yet."""
        self._saved_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves when it is time, or when the process was told to stop."""
        step = trainer.global_step
        if trainer.received_sigterm:
            self.save(trainer)
            logger.warning("stopped by SIGTERM at step %d; the same command continues from there", step)
            raise SystemExit(143)
        if step == self._saved_step or step == 0:
            return
        keep = self.keep_every_n_steps is not None and step % self.keep_every_n_steps == 0
        if keep or step % self.every_n_steps == 0 or step == trainer.max_steps:
            self.save(trainer)
        if keep and trainer.is_global_zero:
            kept = self.folder / f"step={step}.ckpt"
            shutil.copyfile(self.last_path, kept.with_suffix(".tmp"))
            os.replace(kept.with_suffix(".tmp"), kept)

    def save(self, trainer: Trainer) -> None:
        """Writes ``last.ckpt`` atomically."""
        temporary = self.folder / "last.tmp"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            trainer.save_checkpoint(temporary)
            if trainer.is_global_zero:
                with temporary.open("rb") as file:
                    os.fsync(file.fileno())
                os.replace(temporary, self.last_path)
        except (OSError, RuntimeError) as error:
            temporary.unlink(missing_ok=True)
            raise CheckpointError(
                f"could not write a checkpoint at step {trainer.global_step} to {self.folder}: {error}; "
                f"the checkpoint of step {self._saved_step} is untouched."
            ) from error
        self._saved_step = trainer.global_step
