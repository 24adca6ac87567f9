"""The stages of training: first the critic, then the denoiser, each trained to its last step from wherever it is."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from lightning import Callback, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig

from diffplan.config.resolvers import checkpoint_file
from diffplan.config.stages import trains_critic, trains_denoiser
from diffplan.data.datamodule import TrajectoryDataModule
from diffplan.data.held_out import HeldOutDataModule
from diffplan.errors import CheckpointError
from diffplan.files import write_atomically
from diffplan.method.critic import TrajectoryCritic
from diffplan.method.model import TrajectoryModel
from diffplan.run.checkpoint import load_critic, load_model, read_checkpoint
from diffplan.run.folder import RunDir
from diffplan.tracking.base import AbstractRunLogger
from diffplan.tracking.evaluation_recorder import ResultRecorder
from diffplan.training.callback.critic_check import CriticCheckCallback
from diffplan.training.callback.monitors import ProvenanceCallback
from diffplan.training.callback.resume_check import ResumeCheck, way_out
from diffplan.training.modules import AbstractTrajectoryModule, Stage, StageLogger

# Lightning's loggers print with handlers of their own, and some of their lines and warnings are no use here: batches
# are gathered on the device, the averaged network is in evaluation mode on purpose, short runs log little on purpose,
# how Lightning asks about PyTrees is Lightning's matter, and a machine of a cluster may train alone.
_LOGGERS_WITH_OWN_HANDLERS = ("lightning", "lightning.pytorch", "lightning.fabric")
_RANK_ZERO_LOGGER = "lightning.pytorch.utilities.rank_zero"
_USELESS_MESSAGES = ("litlogger", "TPU available: False")
_USELESS_WARNINGS = (
    ".*does not have many workers",
    ".*module.s. in eval mode at the start of training",
    ".*is smaller than the logging interval",
    ".*isinstance.treespec, LeafSpec.* is deprecated",
    ".*`srun` command is available on your system but is not used",
)

logger = logging.getLogger(__name__)


def train_stages(
    config: DictConfig,
    resolved: dict[str, Any],
    run_dir: RunDir,
    datamodule: TrajectoryDataModule,
    loggers: list[AbstractRunLogger],
) -> Trainer:
    """Trains the critic, then the denoiser, which is evaluated with the critic; writes the result last of all.

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
    data = lambda: asdict(datamodule.identity)  # type: ignore[arg-type]  # noqa: E731
    recorder = ResultRecorder(run_dir, "train", resolved, data, given or denoiser_path, critic_path, loggers)
    if trains_critic(config):
        is_last = not trains_denoiser(config)
        lent = [StageLogger(run_logger, is_last) for run_logger in loggers]
        stage = Stage(None if given is None else load_model(given), recorder, plans=given is not None)
        module = instantiate(config.critic.module)(new_critic(config, datamodule))
        trainer = _run_critic(module, stage, datamodule, config, lent)
        if is_last:
            _finish(recorder, trainer)
            return trainer
    elif config.critic.path is not None and getattr(rank_zero_only, "rank", 0) == 0:
        adopt_critic(checkpoint_file(config.critic.path, "critic"), critic_path)
    stage = Stage(None if config.critic.module is None else load_critic(critic_path), recorder)
    module = instantiate(config.module)(new_model(config, datamodule))
    lent = [StageLogger(run_logger) for run_logger in loggers]
    trainer = run_stage(module, stage, datamodule, config, lent, config.trainer.max_steps)
    _finish(recorder, trainer)
    return trainer


def new_model(config: DictConfig, data: TrajectoryDataModule) -> TrajectoryModel:
    """Builds the denoiser that a config asks for, with a fresh network and the data's normaliser."""
    return TrajectoryModel(
        backbone=instantiate(config.backbone),
        normalizer=data.normalizer,
        scheduler=instantiate(config.scheduler),
        conditioning=instantiate(config.conditioning),
        layout=data.layout,
        horizon=data.horizon,
        stride=data.stride,
    )


def new_critic(config: DictConfig, data: TrajectoryDataModule) -> TrajectoryCritic:
    """Builds the critic that a config asks for, with a fresh network and the data's normaliser."""
    return TrajectoryCritic(
        backbone=instantiate(config.critic.backbone),
        normalizer=data.normalizer,
        scheduler=instantiate(config.scheduler),
        layout=data.layout,
        horizon=data.horizon,
        stride=data.stride,
        target=instantiate(config.critic.target),
        conditioning=instantiate(config.conditioning),
    )


def _run_critic(
    module: Any, stage: Stage, datamodule: TrajectoryDataModule, config: DictConfig, loggers: Sequence[Logger]
) -> Trainer:
    """Trains the critic, on all episodes or on those that are not held out to check it."""
    max_steps, held_out = config.critic.max_steps, config.critic.get("held_out", 0.0)
    if not held_out:
        return run_stage(module, stage, datamodule, config, loggers, max_steps)
    if config.critic.keep == "best":
        module.keep_best()
    check = CriticCheckCallback(config.critic.check_every_n_steps, f"{config.paths.run_dir}/evaluation", stage)
    return run_stage(module, stage, HeldOutDataModule(datamodule, held_out), config, loggers, max_steps, [check])


def run_stage(
    module: AbstractTrajectoryModule,
    stage: Stage,
    datamodule: TrajectoryDataModule | HeldOutDataModule,
    config: DictConfig,
    loggers: Sequence[Logger],
    max_steps: int,
    first_callbacks: Sequence[Callback] = (),
) -> Trainer:
    """Trains one module; a stage that is finished is only evaluated.

    Args:
        module: What is trained.
        stage: What callbacks may ask about it.
        datamodule: Where its batches come from.
        config: The whole config; its trainer and callbacks are built anew for each stage.
        loggers: Where numbers go.
        max_steps: Optimiser steps.
        first_callbacks: Callbacks that come before those of the config.

    Returns:
        The trainer.
    """
    built = [instantiate(node) for node in config.callbacks.values() if node is not None]
    # A callback whose yaml says `_partial_: true` asks for the stage.
    callbacks = [callback(stage=stage) if isinstance(callback, partial) else callback for callback in built]
    callbacks = [*first_callbacks, *callbacks]
    assert stage.recorder is not None
    callbacks.append(ProvenanceCallback(stage.recorder.config))
    checkpoint: Path | None = stage.recorder.run_dir.checkpoint(module.checkpoint_name)
    if checkpoint is not None and checkpoint.exists():
        logger.info("continuing %s", checkpoint)
        callbacks.append(ResumeCheck(checkpoint, _read(checkpoint)))
    else:
        checkpoint = None
    with readable_console():
        trainer = instantiate(config.trainer, callbacks=callbacks, logger=list(loggers), max_steps=max_steps)
        trainer.fit(module, datamodule, ckpt_path=checkpoint, weights_only=True)
    return trainer


def _read(checkpoint: Path) -> dict[str, Any]:
    """Reads the checkpoint to continue from; says what to do where it cannot be read."""
    try:
        return read_checkpoint(checkpoint)
    except CheckpointError as error:
        raise CheckpointError(f"{str(error).rstrip('.')}; {way_out(checkpoint)}.") from None


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


@contextmanager
def readable_console() -> Iterator[None]:
    """Passes Lightning's messages to the root logger, and drops those that ask for nothing a reader could do."""
    for name in _LOGGERS_WITH_OWN_HANDLERS:
        library_logger = logging.getLogger(name)
        library_logger.handlers.clear()
        library_logger.propagate = True
    logging.getLogger(_RANK_ZERO_LOGGER).addFilter(_is_useful)
    with warnings.catch_warnings():
        for message in _USELESS_WARNINGS:
            warnings.filterwarnings("ignore", message=message)
        yield


def _is_useful(record: logging.LogRecord) -> bool:
    text = record.getMessage()
    return not any(useless in text for useless in _USELESS_MESSAGES)


def _finish(recorder: ResultRecorder, trainer: Trainer) -> None:
    """Marks a run as finished, also one in which nothing planned; its loggers have ended already."""
    if not trainer.is_global_zero:
        return
    written = recorder.run_dir.result()
    if not recorder.final and (written is None or written.step != trainer.global_step):
        replace(recorder, loggers=[]).record({}, trainer.global_step, final=True)
    recorder.finish()
