"""``diffplan-train``: data, model, callbacks, trainer, fit; then the scores and where to look."""

import json
import logging
import warnings
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from diffplan.command import run_command

TOP_LEVEL_KEYS = {
    "task", "source", "normalizer", "window", "datamodule", "backbone", "scheduler", "conditioning", "loss", "sampler",
    "planner", "optimizer", "learning_rate_schedule", "average", "module", "callbacks", "logger", "trainer", "paths",
    "name", "seed", "prediction_type", "resume", "project", "group", "job_type", "tags",
}  # fmt: skip

logger = logging.getLogger(__name__)


def train(config: DictConfig) -> dict[str, float]:
    """Trains one model and evaluates it; the same command continues a run that was interrupted.

    Args:
        config: Composed from ``conf/train.yaml``.

    Returns:
        The metrics of the final evaluation.

    Raises:
        DiffplanError: anything a user can set right.
    """
    # torch and Lightning take seconds to import; a mistyped option should not wait for them.
    from hydra.utils import instantiate
    from lightning import seed_everything

    from diffplan.callback.provenance_callback import ProvenanceCallback
    from diffplan.callback.rollout_callback import RolloutCallback
    from diffplan.checkpoint import read_checkpoint
    from diffplan.run_dir import RunDir
    from diffplan.validation import check_config

    check_config(config, TOP_LEVEL_KEYS)
    resolved: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    instantiate(config.task)
    with RunDir(Path(config.paths.run_dir)) as run_dir:
        checkpoint_path = run_dir.checkpoint_to_resume(config.resume)
        if checkpoint_path is not None:
            logger.info("continuing %s", checkpoint_path)
            read_checkpoint(checkpoint_path)
        seed_everything(config.seed, workers=True, verbose=False)
        module = instantiate(config.module)
        datamodule = instantiate(config.datamodule)
        callbacks = [instantiate(callback) for callback in config.callbacks.values() if callback is not None]
        loggers = [instantiate(run_logger) for run_logger in config.logger.values()]
        for run_logger in loggers:
            run_logger.log_config(resolved, _groups(config))
        trainer = instantiate(config.trainer, callbacks=[*callbacks, ProvenanceCallback(resolved)], logger=loggers)
        with warnings.catch_warnings():
            # Batches are gathered on the device, so advice about loader workers does not apply.
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            trainer.fit(module, datamodule, ckpt_path=checkpoint_path, weights_only=True)
        metrics: dict[str, float] = {}
        for callback in callbacks:
            if isinstance(callback, RolloutCallback):
                metrics = {key: value for e in callback.final.values() for key, value in e.metrics().items()}
        if trainer.is_global_zero:
            run_dir.finish(trainer.global_step, metrics)
            _report(run_dir, metrics, [run_logger.where_to_look() for run_logger in loggers])
    return metrics


def main() -> None:
    """Entry point of ``diffplan-train``."""
    run_command("diffplan-train", "train", train)


def _groups(config: DictConfig) -> dict[str, Any]:
    return {"task": config.task.name, "name": config.name, "seed": config.seed, "ablation": config.group}


def _report(run_dir: Any, metrics: dict[str, float], places: list[str]) -> None:
    print(json.dumps(metrics, indent=1))
    print(run_dir.path)
    for place in places:
        print(place)


if __name__ == "__main__":
    main()
