"""Callbacks that watch a run: its speed, its provenance and its random state."""

import random
import time
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer

from diffplan.errors import CheckpointError, TaskMismatchError
from diffplan.run.checkpoint import checkpoint_origin
from diffplan.training.modules import Stage


class SpeedMonitor(Callback):
    """Logs optimiser steps per second, CPU seconds per step and the peak of GPU memory, and adds up what was spent.

    Args:
        every_n_steps: Optimiser steps between two measurements.
        stage: Its recorder gets what was spent.

    Attributes:
        seconds: Wall time of all steps so far, evaluations between them included.
        cpu_seconds: Processor time of the same.
    """

    def __init__(self, every_n_steps: int, stage: Stage | None = None) -> None:
        self.every_n_steps = every_n_steps
        self.recorder = None if stage is None else stage.recorder
        self.seconds = self.cpu_seconds = 0.0
        self._step = 0
        self._wall = self._cpu = 0.0
        self._mark: tuple[float, float] | None = None

    def state_dict(self) -> dict[str, float]:
        """Returns what the steps so far have cost. Steps that are repeated after an interruption count once."""
        if self._mark is not None:
            now = (time.perf_counter(), time.process_time())
            self.seconds += now[0] - self._mark[0]
            self.cpu_seconds += now[1] - self._mark[1]
            self._mark = now
        return {"seconds": self.seconds, "cpu_seconds": self.cpu_seconds}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Continues to add up."""
        self.seconds, self.cpu_seconds = state_dict["seconds"], state_dict["cpu_seconds"]

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Tells the recorder whom to ask; a stage that has been trained already has its costs from the checkpoint."""
        if self.recorder is not None:
            self.recorder.costs[getattr(pl_module, "stage", "train")] = self.state_dict

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clocks."""
        self._restart(trainer.global_step)
        self._mark = (time.perf_counter(), time.process_time())

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measures the steps since the last measurement, which after an interruption are fewer than usual."""
        steps = trainer.global_step - self._step
        if steps == 0 or trainer.global_step % self.every_n_steps:
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


class ProvenanceCallback(Callback):
    """Writes into every checkpoint what made it, so that it can be rebuilt and judged from its path alone.

    Args:
        config: The whole resolved config, plain values only.

    Raises:
        TaskMismatchError: training is continued on other data.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Adds config, data identity, version and format."""
        checkpoint["diffplan"] = checkpoint_origin(self.config, _identity(trainer))

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Refuses to continue with other data."""
        trained, present = checkpoint["diffplan"]["data"], _identity(trainer)
        if trained["sha256"] != present["sha256"]:
            raise TaskMismatchError(
                f"the run was trained on {trained['name']} with hash {trained['sha256'][:12]}, but the data is now "
                f"{present['name']} with hash {present['sha256'][:12]}; restore the data or start under another name."
            )


def _identity(trainer: Trainer) -> dict[str, Any]:
    return asdict(trainer.datamodule.identity)  # type: ignore[attr-defined]


class RandomState(Callback):
    """Keeps the state of every global random generator of every process in the checkpoint.

    This package's own randomness depends on seed and batch number only and does not need it. Code that draws from the
    global generators, such as dropout or a user's callback, resumes exactly because of it.
    """

    def __init__(self) -> None:
        self._restored: list[dict[str, Any]] | None = None

    def state_dict(self) -> dict[str, Any]:
        """Returns one state for each process."""
        states = [_capture()]
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            states = [{} for _ in range(torch.distributed.get_world_size())]
            torch.distributed.all_gather_object(states, _capture())
        return {"processes": states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keeps the states until training starts."""
        self._restored = state_dict["processes"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restores the state of this process, if the checkpoint has one."""
        if self._restored is not None and trainer.global_rank < len(self._restored):
            _restore(self._restored[trainer.global_rank])
        self._restored = None


def _capture() -> dict[str, Any]:
    numpy_state: Any = np.random.get_state(legacy=True)
    version, internal, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [numpy_state[0], [int(word) for word in numpy_state[1]], *map(float, numpy_state[2:])],
        "python": [version, list(internal), gauss],
    }


def check_random_state(state: Any) -> None:
    """Checks what ``RandomState`` keeps by restoring each process's state for a moment.

    Raises:
        CheckpointError: it is missing, or no state of the generators.
    """
    processes = state.get("processes") if isinstance(state, dict) else None
    present = _capture()
    try:
        if not processes:
            raise ValueError("no process")
        for one in processes:
            _restore(one)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError, RuntimeError):
        raise CheckpointError("the state of its random generators is missing or damaged") from None
    finally:
        _restore(present)


def _restore(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"].cpu())
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([cuda_state.cpu() for cuda_state in state["cuda"]])
    name, words, position, has_gauss, cached = state["numpy"]
    if not 0 <= position <= len(words):
        # NumPy would read beyond the end of its state.
        raise ValueError("no position in the state")
    np.random.set_state((name, np.array(words, dtype=np.uint32), int(position), int(has_gauss), cached))
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
