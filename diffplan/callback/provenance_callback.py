from dataclasses import asdict
from typing import Any

from lightning import Callback, LightningModule, Trainer

import diffplan
from diffplan.errors import TaskMismatchError


class ProvenanceCallback(Callback):
    """Writes into every checkpoint what made it, so that it can be rebuilt and judged from its path alone.

    Args:
        config: The whole resolved config, plain values only.

    Raises:
        TaskMismatchError: training is taken up again on other data.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Adds config, data identity and version."""
        checkpoint["diffplan"] = {
            "version": diffplan.__version__,
            "config": self.config,
            "module": type(pl_module).__name__,
            "data": _identity(trainer),
        }

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Refuses to go on with other data."""
        trained, present = checkpoint["diffplan"]["data"], _identity(trainer)
        if trained["sha256"] != present["sha256"]:
            raise TaskMismatchError(
                f"the run was trained on {trained['name']} with hash {trained['sha256'][:12]}, but the data is now "
                f"{present['name']} with hash {present['sha256'][:12]}; restore the data or start under another name."
            )


def _identity(trainer: Trainer) -> dict[str, Any]:
    return asdict(trainer.datamodule.identity)  # type: ignore[attr-defined]
