import random
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer


class RandomState(Callback):
    """Keeps the state of every global random generator of every process in the checkpoint.

    The project's own randomness is a function of seed and batch number and needs none of this; code that draws from the
    global generators (dropout, a user's callback) resumes exactly because of it.
    """

    def __init__(self) -> None:
        self._restored: list[dict[str, Any]] | None = None

    def state_dict(self) -> dict[str, Any]:
        """One entry a process."""
        states = [_capture()]
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            states = [{} for _ in range(torch.distributed.get_world_size())]
            torch.distributed.all_gather_object(states, _capture())
        return {"processes": states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remembers the states until training starts."""
        self._restored = state_dict["processes"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restores them, if the run has as many processes as it had."""
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


def _restore(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"].cpu())
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([cuda_state.cpu() for cuda_state in state["cuda"]])
    name, words, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, np.array(words, dtype=np.uint32), int(position), int(has_gauss), cached))
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
