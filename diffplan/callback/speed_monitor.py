import time
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer


class SpeedMonitor(Callback):
    """Logs optimiser steps per second, CPU seconds per step and the peak of GPU memory.

    Args:
        every_n_steps: Optimiser steps between two measurements.
    """

    def __init__(self, every_n_steps: int) -> None:
        self.every_n_steps = every_n_steps
        self._step = 0
        self._wall = self._cpu = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clocks."""
        self._restart(trainer.global_step)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measures over the steps since the last time."""
        steps = trainer.global_step - self._step
        if steps < self.every_n_steps:
            return
        stage = getattr(pl_module, "stage", "train")
        pl_module.log(f"{stage}/steps_per_second", steps / (time.perf_counter() - self._wall), prog_bar=True)
        pl_module.log(f"{stage}/cpu_seconds_per_step", (time.process_time() - self._cpu) / steps)
        if pl_module.device.type == "cuda":
            pl_module.log(f"{stage}/gpu_memory_gib", torch.cuda.max_memory_allocated(pl_module.device) / 2**30)
        self._restart(trainer.global_step)

    def _restart(self, step: int) -> None:
        self._step, self._wall, self._cpu = step, time.perf_counter(), time.process_time()
