import logging
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from diffplan.errors import CheckpointError
from diffplan.run import stop_signal
from diffplan.training.callback.rollout_callback import RolloutCallback
from diffplan.training.callback.stop_run import stop_run

logger = logging.getLogger(__name__)


class CheckpointCallback(Callback):
    """Writes ``last.ckpt`` (``critic.ckpt`` of a critic) so that a run continues from it wherever it was interrupted.

    The callback writes every so many steps, before every evaluation, after the last step, and when the process is told
    to stop, which then ends with exit code 143. A new file replaces the old one only when it is complete and on disk.

    Args:
        folder: Where checkpoints lie.
        every_n_steps: Optimiser steps between two checkpoints.
        keep_every_n_steps: Keeps ``step=N.ckpt`` (``critic-step=N.ckpt``) at every multiple; None keeps only the last.

    Raises:
        CheckpointError: it cannot be written; the previous one is untouched.
    """

    def __init__(self, folder: str, every_n_steps: int, keep_every_n_steps: int | None = None) -> None:
        self.folder = Path(folder)
        self.every_n_steps = every_n_steps
        self.keep_every_n_steps = keep_every_n_steps
        self._saved_step = -1
        self._mid_accumulation = False
        self._gradients: dict[str, Tensor] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restores gradients that a stopped run had begun to accumulate."""
        # Lightning has just put its own handlers in place; its exit code would read as success.
        stop_signal.defer()
        self._saved_step = trainer.global_step
        for name, parameter in pl_module.named_parameters():
            if name in self._gradients:
                parameter.grad = self._gradients[name].to(parameter)
        self._gradients = {}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves at its steps, and when the process was told to stop."""
        step = trainer.global_step
        self._mid_accumulation = (batch_idx + 1) % trainer.accumulate_grad_batches != 0
        # The signal does not reach all processes during the same batch, and all must save together.
        if trainer.strategy.reduce_boolean_decision(stop_signal.was_received(), all=False):
            self.save(trainer)
            trainer.strategy.barrier("stop")
            logger.warning("saved step %d", step)
            stop_run(trainer)
        if step == self._saved_step or step == 0:
            return
        keep = self.keep_every_n_steps is not None and step % self.keep_every_n_steps == 0
        if keep or step % self.every_n_steps == 0 or step == trainer.max_steps or _is_evaluated_next(trainer):
            self.save(trainer)
        if keep and trainer.is_global_zero:
            name = _name(trainer)
            kept = self.folder / f"{'' if name == 'last' else f'{name}-'}step={step}.ckpt"
            shutil.copyfile(self.folder / f"{name}.ckpt", kept.with_suffix(".tmp"))
            os.replace(kept.with_suffix(".tmp"), kept)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Lets a signal end the process at once again."""
        stop_signal.act_at_once()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Lets a signal end the process at once again."""
        stop_signal.act_at_once()

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Adds the gradients of every process, if a signal came between two of the batches that make a step."""
        if self._mid_accumulation:
            gradients = {n: p.grad.detach().cpu() for n, p in pl_module.named_parameters() if p.grad is not None}
            checkpoint["accumulated_gradients"] = _from_all_processes(gradients)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Remembers this process's gradients until training starts."""
        processes = checkpoint.get("accumulated_gradients", [])
        if trainer.global_rank < len(processes):
            self._gradients = processes[trainer.global_rank]

    def save(self, trainer: Trainer) -> None:
        """Writes the newest checkpoint atomically."""
        temporary = self.folder / f"{_name(trainer)}.tmp"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            trainer.save_checkpoint(temporary, weights_only=False)
            if trainer.is_global_zero:
                with temporary.open("rb") as file:
                    os.fsync(file.fileno())
                os.replace(temporary, temporary.with_suffix(".ckpt"))
        except (OSError, RuntimeError) as error:
            with suppress(OSError):
                temporary.unlink()
            raise CheckpointError(
                f"could not write a checkpoint at step {trainer.global_step} to {self.folder}: {error}; "
                f"the checkpoint of step {self._saved_step} is untouched."
            ) from error
        self._saved_step = trainer.global_step


def _name(trainer: Trainer) -> str:
    """Returns the name of the newest checkpoint of the module in training: ``last`` or ``critic``."""
    return trainer.lightning_module.checkpoint_name  # type: ignore[return-value]


def _is_evaluated_next(trainer: Trainer) -> bool:
    """Whether an evaluation follows. If it is interrupted, it begins again from the checkpoint of this step."""
    return any(isinstance(c, RolloutCallback) and c.is_due(trainer.global_step) for c in trainer.callbacks)  # type: ignore[attr-defined]


def _from_all_processes(value: Any) -> list[Any]:
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [value]
    values: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values
