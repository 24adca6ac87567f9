"""The stages of training: critic, then denoiser, each trained to its last step from wherever it was left."""

import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from lightning import Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig

from diffplan.config.resolvers import checkpoint_file
from diffplan.data.datamodule import TrajectoryDataModule
from diffplan.errors import CheckpointError, ConfigError
from diffplan.files import write_atomically
from diffplan.method.critic import TrajectoryCritic
from diffplan.method.model import TrajectoryModel
from diffplan.run.folder import RunDir
from diffplan.tracking.base import AbstractRunLogger, StageLogger
from diffplan.training.base import AbstractTrajectoryModule
from diffplan.training.callback.checkpoint_callback import CheckpointCallback
from diffplan.training.callback.monitors import ProvenanceCallback, SpeedMonitor
from diffplan.training.callback.rollout_callback import RolloutCallback
from diffplan.training.checkpoint import load_critic, load_module, read_checkpoint
from diffplan.training.console import readable_console
from diffplan.training.result_recorder import ResultRecorder

logger = logging.getLogger(__name__)


def train_stages(
    config: DictConfig,
    resolved: dict[str, Any],
    run_dir: RunDir,
    datamodule: TrajectoryDataModule,
    loggers: list[AbstractRunLogger],
) -> Trainer:
    """Trains what is to be trained, the critic, then the denoiser, whose rollouts plan with it; leaves the result.

    Args:
        config: Composed from ``conf/train.yaml``.
        resolved: The same with plain values, for the checkpoints.
        run_dir: The run's folder.
        datamodule: Where batches come from.
        loggers: The run's.

    Returns:
        The last stage's trainer.
    """
    critic_path, denoiser_path = run_dir.checkpoint("critic"), run_dir.checkpoint("last")
    given = None if config.denoiser is None else checkpoint_file(config.denoiser)
    recorder = ResultRecorder(
        run_dir, "train", resolved, lambda: _identity(datamodule), given or denoiser_path, critic_path, loggers
    )
    if trains_critic(config):
        denoiser = None if given is None else load_module(given).model()
        is_last = not trains_denoiser(config)
        lent: list[Logger] = list(loggers) if is_last else [StageLogger(run_logger) for run_logger in loggers]
        trainer = run_stage(
            instantiate(config.critic.module), datamodule, config, recorder, lent, config.critic.max_steps, critic_path,
            denoiser, rolls_out=denoiser is not None,
        )  # fmt: skip
        if is_last:
            _leave_without_rollouts(recorder, trainer)
            return trainer
    elif config.critic.path is not None and getattr(rank_zero_only, "rank", 0) == 0:
        adopt_critic(checkpoint_file(config.critic.path, "critic"), critic_path)
    critic = None if config.critic.module is None else load_critic(critic_path).critic()
    trainer = run_stage(
        instantiate(config.module), datamodule, config, recorder, list(loggers), config.trainer.max_steps,
        denoiser_path, critic, rolls_out=True,
    )  # fmt: skip
    _leave_without_rollouts(recorder, trainer)
    return trainer


def adopt_critic(source: Path, place: Path) -> None:
    """Copies a trained critic into another run, so that the run is complete.

    Raises:
        CheckpointError: it is no critic, or ``place`` holds another one.
    """
    load_critic(source)
    if place.exists():
        if place.read_bytes() != source.read_bytes():
            raise CheckpointError(f"{place} holds another critic than {source}; start under another name=...")
        return
    write_atomically(place, source.read_bytes())


def check_stages(config: DictConfig) -> None:
    """Refuses combinations in which nothing, or the same thing twice, would be trained."""
    unknown = set(config.stages) - {"critic", "denoiser"}
    if unknown or not config.stages:
        raise ConfigError(f"stages may hold critic and denoiser, got {list(config.stages)}.")
    if not (trains_critic(config) or trains_denoiser(config)):
        raise ConfigError(
            "nothing is left to train: denoiser and critic are both given or not among the stages; to plan with "
            "trained ones, use diffplan-plan."
        )
    if config.critic.module is not None and "critic" not in config.stages and config.critic.path is None:
        raise ConfigError("a denoiser of this task plans with a critic: give critic.path=<run>, or choose critic=none.")


def _identity(datamodule: TrajectoryDataModule) -> dict[str, Any]:
    assert datamodule.identity is not None
    return asdict(datamodule.identity)


def _leave_without_rollouts(recorder: ResultRecorder, trainer: Trainer) -> None:
    """Marks a run as finished in which nothing planned; the loggers have ended already."""
    left = recorder.run_dir.result()
    if trainer.is_global_zero and (left is None or left.step != trainer.global_step):
        replace(recorder, loggers=[]).leave({}, trainer.global_step, final=True)


def trains_critic(config: DictConfig) -> bool:
    """Whether the critic is a stage of this run."""
    return "critic" in config.stages and config.critic.module is not None and config.critic.path is None


def trains_denoiser(config: DictConfig) -> bool:
    """Whether the denoiser is a stage of this run."""
    return "denoiser" in config.stages and config.denoiser is None


def last_step(config: DictConfig) -> int:
    """Optimiser steps of the last stage."""
    return config.trainer.max_steps if trains_denoiser(config) else config.critic.max_steps


def run_stage(
    module: AbstractTrajectoryModule,
    datamodule: TrajectoryDataModule,
    config: DictConfig,
    recorder: ResultRecorder,
    loggers: list[Logger],
    max_steps: int,
    checkpoint: Path,
    partner: TrajectoryModel | TrajectoryCritic | None,
    rolls_out: bool,
) -> Trainer:
    """Trains one module; a stage that is finished is only evaluated.

    Args:
        module: What is trained.
        datamodule: Where its batches come from.
        config: The whole config; its trainer and callbacks are built anew for each stage.
        recorder: Takes every evaluation.
        loggers: Where numbers go.
        max_steps: Optimiser steps.
        checkpoint: Newest checkpoint of the stage; continued where it exists.
        partner: What plans are made with beside the module: the denoiser's critic, or the critic's denoiser.
        rolls_out: Whether the callbacks that plan take part.

    Returns:
        The trainer.
    """
    callbacks = []
    for node in config.callbacks.values():
        callback = None if node is None else instantiate(node)
        if isinstance(callback, CheckpointCallback):
            callback.name = checkpoint.stem
        if isinstance(callback, RolloutCallback):
            callback.partner, callback.leave = partner, recorder.leave
            callback = callback if rolls_out else None
        if isinstance(callback, SpeedMonitor):
            recorder.monitors[module.stage] = callback
        if callback is not None:
            callbacks.append(callback)
    if checkpoint.exists():
        logger.info("continuing %s", checkpoint)
        read_checkpoint(checkpoint)
    with readable_console():
        trainer = instantiate(
            config.trainer,
            callbacks=[*callbacks, ProvenanceCallback(recorder.config)],
            logger=loggers,
            max_steps=max_steps,
        )
        trainer.fit(module, datamodule, ckpt_path=checkpoint if checkpoint.exists() else None, weights_only=True)
    return trainer
