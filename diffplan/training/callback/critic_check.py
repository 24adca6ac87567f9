"""Checks a critic on held-out episodes while it is trained."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer

from diffplan.data.held_out import HeldOutDataModule
from diffplan.errors import CheckpointError
from diffplan.method.critic import CriticQuality
from diffplan.method.critic_check import CriticCheck
from diffplan.training.modules import Stage, StageLogger, ValueModule

logger = logging.getLogger(__name__)


class CriticCheckCallback(Callback):
    """Measures the averaged critic on held-out windows every so many steps and after the last one.

    It must come before the callback that writes checkpoints, which hold what is kept. It draws nothing from training's
    random generators. After the last step it draws one picture of the critic that is kept, and warns if that critic
    orders plans of one state no better than chance.

    Args:
        every_n_steps: Optimiser steps between two checks.
        media_dir: Where the picture is written.
        stage: Its recorder gets the warning.
    """

    def __init__(self, every_n_steps: int, media_dir: str, stage: Stage) -> None:
        self.every_n_steps = every_n_steps
        self.media_dir = Path(media_dir)
        self.stage = stage
        self._check: CriticCheck | None = None
        self._checked_step = 0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes the sample of held-out windows to the training device."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(pl_module, ValueModule)
        assert isinstance(data, HeldOutDataModule)
        self._check = CriticCheck(pl_module.newest_critic(), data.sample.to(pl_module.device))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Counts on from the step of a checkpoint, which was checked before it was written."""
        self._checked_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Checks at its steps, once each."""
        step = trainer.global_step
        if step == self._checked_step or (step % self.every_n_steps and step != trainer.max_steps):
            return
        self._checked_step = step
        module: Any = pl_module
        assert self._check is not None
        try:
            quality = self._check.quality(module.newest_critic(), step)
        except CheckpointError as error:
            # Weights that are not finite end the training when the next checkpoint is due.
            logger.warning("step %d: %s", step, error)
            return
        module.note(quality)
        for run_logger in _run_loggers(trainer):
            run_logger.log_metrics(quality_metrics(quality), step)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Shows what the critic that is kept is worth, also when a finished training is run again."""
        module: Any = pl_module
        quality: CriticQuality | None = module.quality
        if trainer.global_step < trainer.max_steps or quality is None or not trainer.is_global_zero:
            return
        # Charts take longer to load than a mistyped setting should take to be reported.
        from diffplan.report.charts import save_chart
        from diffplan.report.critic_chart import critic_chart

        assert self._check is not None
        sample = self._check.sample
        returns, episodes = (array[: sample.num_drawn].cpu().numpy() for array in (sample.returns, sample.episodes))
        values = self._check.values(module.critic())[:, : sample.num_drawn]
        path = self.media_dir / f"critic-calibration-step{trainer.global_step}.png"
        save_chart(critic_chart(quality, values, returns, episodes), path)
        levels = [{"level": level.name, **asdict(level)} for level in quality.levels]
        for run_logger in _run_loggers(trainer):
            run_logger.log_media("critic/calibration", path, trainer.global_step)
            rows = [list(level.values()) for level in levels]
            run_logger.log_table("critic/held_out_levels", list(levels[0]), rows, trainer.global_step)
        if quality.warning is not None:
            logger.warning(quality.warning)
            if self.stage.recorder is not None:
                self.stage.recorder.notes.append(quality.warning)


def quality_metrics(quality: CriticQuality) -> dict[str, float]:
    """Returns the numbers of a check by metric key, and what the choice of the best critic goes by."""
    names = ("rmse", "r2", "bias", "correlation", "ordering", "ordering_stderr")
    metrics = {
        f"critic/held_out/{level.name}/{name}": value
        for level in quality.levels
        for name in names
        if (value := getattr(level, name)) is not None
    }
    return metrics | {"critic/held_out_r2_mean": quality.mean_r2}


def _run_loggers(trainer: Trainer) -> list[Any]:
    return [logger.run_logger for logger in trainer.loggers if isinstance(logger, StageLogger)]
