import time
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer


class SpeedMonitor(Callback):
    """Logs optimiser steps per second, CPU seconds per step and the peak of GPU memory, and adds up what was spent.

    Args:
        every_n_steps: Optimiser steps between two measurements.

    Attributes:
        seconds: Wall time of all steps so far, evaluations between them included.
        cpu_seconds: Processor time of the same.
    """

    def __init__(self, every_n_steps: int) -> None:
        self.every_n_steps = every_n_steps
        self.seconds = self.cpu_seconds = 0.0
        self._step = 0
        self._wall = self._cpu = 0.0
        self._mark: tuple[float, float] | None = None

    def state_dict(self) -> dict[str, float]:
        """What the steps up to here have cost; those repeated after a kill count once."""
        if self._mark is not None:
            now = (time.perf_counter(), time.process_time())
            self.seconds += now[0] - self._mark[0]
            self.cpu_seconds += now[1] - self._mark[1]
            self._mark = now
        return {"seconds": self.seconds, "cpu_seconds": self.cpu_seconds}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Goes on counting."""
        self.seconds, self.cpu_seconds = state_dict["seconds"], state_dict["cpu_seconds"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clocks."""
        self._restart(trainer.global_step)
        self._mark = (time.perf_counter(), time.process_time())

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

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stops the clocks."""
        self.state_dict()
        self._mark = None

    def _restart(self, step: int) -> None:
        self._step, self._wall, self._cpu = step, time.perf_counter(), time.process_time()
