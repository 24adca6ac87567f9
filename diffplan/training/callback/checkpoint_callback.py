import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor
from torch.nn.utils import get_total_norm

from diffplan.errors import CheckpointError, DivergenceError
from diffplan.files import PARTIAL, keep_as, sync_folder
from diffplan.run import stop_signal
from diffplan.run.folder import previous_checkpoint
from diffplan.training.callback.rollout_callback import RolloutCallback
from diffplan.training.callback.stop_run import stop_run
from diffplan.training.modules import StageLogger

logger = logging.getLogger(__name__)


class CheckpointCallback(Callback):
    """Writes ``last.ckpt`` (``critic.ckpt`` of a critic) so that a run continues from it wherever it was interrupted.

    The callback writes every so many steps, before every evaluation, after the last step, and when the process is told
    to stop, which then ends with exit code 143. A new file replaces the old one only when it is complete and on disk,
    holds finite numbers only, and the metrics of its step are on disk. The old one stays as ``last.previous.ckpt``.

    Args:
        folder: Where checkpoints lie.
        every_n_steps: Optimiser steps between two checkpoints.
        keep_every_n_steps: Keeps ``step=N.ckpt`` (``critic-step=N.ckpt``) at every multiple; None keeps only the last.

    Raises:
        CheckpointError: it cannot be written; the previous one is untouched.
        DivergenceError: weights or the optimiser's state are not finite; the previous checkpoint is untouched.
    """

    def __init__(self, folder: str, every_n_steps: int, keep_every_n_steps: int | None = None) -> None:
        self.folder = Path(folder)
        self.every_n_steps = every_n_steps
        self.keep_every_n_steps = keep_every_n_steps
        self._saved_step = -1
        self._mid_accumulation = False
        self._gradients: dict[str, Tensor] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Has checkpoints written where they will lie, not through the folder for temporary files."""
        trainer.strategy.checkpoint_io = _DurableCheckpointIO()

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
        """Saves at its steps, and when the process was told to stop; stops a training that has diverged."""
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
        # The loss is read at the steps that log it, because reading it waits for the device.
        if step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            is_finite = bool(torch.isfinite(outputs["loss"]))
            if not trainer.strategy.reduce_boolean_decision(is_finite):
                self._refuse_divergence(trainer)
        keep = self.keep_every_n_steps is not None and step % self.keep_every_n_steps == 0
        if keep or step % self.every_n_steps == 0 or step == trainer.max_steps or _is_evaluated_next(trainer):
            self.save(trainer, keep)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Lets a signal end the process at once again."""
        stop_signal.act_at_once()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Lets a signal end the process at once again."""
        stop_signal.act_at_once()

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Adds the gradients of every process, if a signal came between two of the batches that make a step.

        Also names the parameters that never had a gradient, for which the optimiser has no state.
        """
        for optimizer in trainer.optimizers:
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            untrained = [number for number, parameter in enumerate(parameters) if parameter not in optimizer.state]
            if untrained and trainer.global_step > 0:
                checkpoint["untrained_parameters"] = untrained
        if self._mid_accumulation:
            gradients = {n: p.grad.detach().cpu() for n, p in pl_module.named_parameters() if p.grad is not None}
            checkpoint["accumulated_gradients"] = _from_all_processes(gradients)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Remembers this process's gradients until training starts."""
        processes = checkpoint.get("accumulated_gradients", [])
        if trainer.global_rank < len(processes):
            self._gradients = processes[trainer.global_rank]

    def save(self, trainer: Trainer, keep: bool = False) -> None:
        """Writes the newest checkpoint atomically.

        Args:
            trainer: Whose state is saved.
            keep: Keeps a copy under the number of its step.
        """
        self._refuse_divergence(trainer)
        _write_row(trainer)
        newest = self.folder / f"{_name(trainer)}.ckpt"
        partial = newest.with_name(f".{newest.name}{PARTIAL}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            trainer.save_checkpoint(partial, weights_only=False)
            if trainer.is_global_zero:
                if keep:
                    prefix = "" if newest.stem == "last" else f"{newest.stem}-"
                    keep_as(partial, self.folder / f"{prefix}step={trainer.global_step}.ckpt")
                if newest.exists() and self._saved_step != trainer.global_step:
                    keep_as(newest, previous_checkpoint(newest))
                os.replace(partial, newest)
                sync_folder(self.folder)
        except (OSError, RuntimeError) as error:
            with suppress(OSError):
                partial.unlink()
            raise CheckpointError(
                f"could not write a checkpoint at step {trainer.global_step} to {self.folder}: {error}; "
                f"{self._newest_good()}."
            ) from error
        self._saved_step = trainer.global_step

    def _refuse_divergence(self, trainer: Trainer) -> None:
        """Raises an error if weights, their average or the optimiser's state hold a number that is not finite."""
        tensors = _numbers(trainer)
        if trainer.strategy.reduce_boolean_decision(bool(torch.isfinite(get_total_norm(tensors.values(), torch.inf)))):
            return
        wrong = next((name for name, tensor in tensors.items() if not tensor.isfinite().all()), "another process")
        raise DivergenceError(
            f"training diverged: at step {trainer.global_step}, {wrong} is not finite any more; {self._newest_good()}. "
            "Train with a lower optimizer.lr or with trainer.gradient_clip_val=1.0."
        )

    def _newest_good(self) -> str:
        if self._saved_step <= 0:
            return "no checkpoint has been written before"
        return f"the checkpoint of step {self._saved_step} is untouched"


class _DurableCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint straight into its file and waits until it is on the disk."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        with open(path, "wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())


def _name(trainer: Trainer) -> str:
    """Returns the name of the newest checkpoint of the module in training: ``last`` or ``critic``."""
    return trainer.lightning_module.checkpoint_name  # type: ignore[return-value]


def _is_evaluated_next(trainer: Trainer) -> bool:
    """Whether an evaluation follows. If it is interrupted, it begins again from the checkpoint of this step."""
    return any(isinstance(c, RolloutCallback) and c.is_due(trainer.global_step) for c in trainer.callbacks)  # type: ignore[attr-defined]


def _numbers(trainer: Trainer) -> dict[str, Tensor]:
    """Returns every tensor of a checkpoint that training computes, by its name."""
    module = trainer.lightning_module
    tensors = dict(module.state_dict())
    names: dict[Any, str] = {parameter: name for name, parameter in module.named_parameters()}
    for optimizer in trainer.optimizers:
        for parameter, state in optimizer.state.items():
            tensors |= {f"{key} of {names.get(parameter, 'a parameter')}": value for key, value in state.items()}
    return {
        name: tensor
        for name, tensor in tensors.items()
        if isinstance(tensor, Tensor) and tensor.is_floating_point() and tensor.numel() > 0
    }


def _write_row(trainer: Trainer) -> None:
    """Writes the metrics of the step and waits until they are on the disk.

    Lightning writes them after all callbacks, and would never write them if the process ended right after the
    checkpoint of the step. It writes them again, and ``StageLogger`` takes them once.
    """
    trainer._logger_connector.update_train_step_metrics()
    for run_logger in trainer.loggers:
        if isinstance(run_logger, StageLogger):
            run_logger.run_logger.sync()


def _from_all_processes(value: Any) -> list[Any]:
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [value]
    values: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values
