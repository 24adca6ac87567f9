"""Shows and keeps evaluations: pictures and numbers for the loggers of a run, and its result file."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from diffplan.config.checkpoint_settings import checkpoint_settings
from diffplan.env.make_env import env_version, make_env
from diffplan.env.render import StateRenderer
from diffplan.env.rollout import Rollout
from diffplan.errors import RenderingError
from diffplan.report.picture.calibration_picture import draw_calibration
from diffplan.report.picture.imagined_picture import imagined_figure
from diffplan.report.picture.maze_picture import plans_figure
from diffplan.report.picture.media_files import tile_videos, write_figure, write_video
from diffplan.run.evaluation import Evaluation
from diffplan.run.folder import RunDir
from diffplan.run.result import FileIdentity, Result
from diffplan.tracking.base import AbstractRunLogger
from diffplan.tracking.csv_logger import write_metrics_table

_SLOW_MOTION_FPS, _SLOWEST_FPS, _FASTEST_FPS = 4.0, 10.0, 25.0
_SHORTEST_SECONDS = 2.0

logger = logging.getLogger(__name__)


def log_evaluation(evaluation: Evaluation, loggers: Sequence[AbstractRunLogger], folder: Path, step: int) -> None:
    """Gives the same numbers, table, pictures and video to every logger; the numbers first.

    Args:
        evaluation: What to log.
        loggers: Where to.
        folder: Where pictures and videos are written.
        step: Optimiser steps trained.
    """
    metrics, (columns, rows) = evaluation.metrics(), evaluation.table()
    if (comparison := evaluation.comparison) is not None:
        logger.log(logging.WARNING if comparison.is_harmful else logging.INFO, comparison.sentence())
    for run_logger in loggers:
        run_logger.log_metrics(metrics, step)
        run_logger.log_table(f"{evaluation.prefix}/episodes", columns, rows, step)
    files = draw_evaluation(evaluation, folder, step)
    for run_logger in loggers:
        for key, path in files.items():
            run_logger.log_media(key, path, step)


def draw_evaluation(evaluation: Evaluation, folder: Path, step: int) -> dict[str, Path]:
    """Draws plans in a maze, the critic's calibration, imagined states, and a video of the episodes.

    States that cannot be rendered on this machine are left out with a warning.

    Args:
        evaluation: What to draw.
        folder: Where pictures and videos are written.
        step: Optimiser steps trained; part of the files' names.

    Returns:
        The files by metric key.
    """
    rollout, calibration = evaluation.rollout, evaluation.calibration
    paths = {
        label: folder / f"{rollout.protocol}-{label}-step{step}.{suffix}"
        for label, suffix in (("plans", "png"), ("calibration", "png"), ("imagined", "png"), ("video", "mp4"))
    }
    drawn = []
    env = make_env(rollout.env_id).unwrapped
    if hasattr(env, "layout"):
        write_figure(plans_figure(env.layout, rollout, evaluation.scores), paths["plans"])
        drawn.append("plans")
    if calibration is not None and rollout.value_target is not None:
        draw_calibration(calibration, rollout.value_target, paths["calibration"])
        drawn.append("calibration")
    if rollout.moments and hasattr(env, "render_observation") and _draw_imagined(rollout, paths["imagined"]):
        drawn.append("imagined")
    if rollout.frames:
        tiles = tile_videos(list(rollout.frames.values()))
        rate = _frames_per_second(getattr(env, "dt", None), rollout.frame_interval, len(tiles))
        write_video(tiles, paths["video"], rate)
        drawn.append("video")
    env.close()
    return {f"{evaluation.prefix}/{label}": paths[label] for label in drawn}


def _draw_imagined(rollout: Rollout, path: Path) -> bool:
    """Draws the moments of the first filmed episode; returns False where states cannot be rendered."""
    try:
        with closing(StateRenderer(rollout.env_id)) as renderer:
            moments = [moment for moment in rollout.moments if moment.env == rollout.moments[0].env]
            write_figure(imagined_figure(renderer, rollout, moments), path)
    except RenderingError as error:
        logger.warning("Imagined states are not drawn: %s", error)
        return False
    return True


def _frames_per_second(step_seconds: float | None, frame_interval: int, num_frames: int) -> float:
    """Real time, unless that is too slow to look at, faster than a video needs, or over in a moment."""
    real_time = np.inf if step_seconds is None else 1 / (step_seconds * frame_interval)
    rate = float(np.clip(real_time, _SLOWEST_FPS, _FASTEST_FPS))
    return min(rate, max(num_frames / _SHORTEST_SECONDS, _SLOW_MOTION_FPS))


def renew_outputs(folder: Path) -> Path:
    """Writes the metrics table and the page of a finished run anew, in case either was damaged.

    Args:
        folder: The run's folder. One that cannot be written is left as it is, with a warning.

    Returns:
        The page.
    """
    from diffplan.report.run_page import write_run_page

    try:
        write_metrics_table(folder)
        return write_run_page(folder)
    except OSError as error:
        logger.warning("the page of %s is not renewed: %s", folder, error.strerror or error)
        return folder / "index.html"


@dataclass(frozen=True)
class ResultRecorder:
    """Hands the result of every evaluation of a run to its loggers, and writes it into the run's folder.

    A run whose final result is in its folder counts as finished, so that result is written last, by ``finish``.

    Attributes:
        run_dir: The run's folder.
        job: ``train`` or ``plan``.
        config: Resolved config of the command.
        data: Says what the model was trained on.
        checkpoint: The denoiser's.
        critic: The critic's, or None.
        loggers: The run's.
        trained: Resolved config of the denoiser's training, where another command did it.
        costs: Functions that return what training has cost so far, by stage.
        final: The final result that has not been written yet, if there is one.
        notes: Sentences of warning that belong to the run's summary.
    """

    run_dir: RunDir
    job: Literal["train", "plan"]
    config: dict[str, Any]
    data: Callable[[], dict[str, Any]]
    checkpoint: Path
    critic: Path | None
    loggers: Sequence[AbstractRunLogger]
    trained: dict[str, Any] | None = None
    costs: dict[str, Callable[[], Mapping[str, float]]] = field(default_factory=dict)
    final: list[Result] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def record(self, evaluations: Mapping[str, Evaluation], step: int, final: bool) -> Result:
        """Records one evaluation; the loggers end after the final one, and then ``finish`` writes it.

        Args:
            evaluations: By protocol.
            step: Optimiser steps trained.
            final: Whether it is the run's last one.
        """
        critic = self.critic if self.critic is not None and self.critic.is_file() else None
        result = Result.of_run(
            self.config,
            self.trained,
            None if critic is None else checkpoint_settings(critic),
            job=self.job,
            step=step,
            final=final,
            protocols={protocol: evaluation.episodes() for protocol, evaluation in evaluations.items()},
            metrics={key: value for evaluation in evaluations.values() for key, value in evaluation.metrics().items()},
            cost={f"{s}_{key}": spent for s, cost in self.costs.items() for key, spent in cost().items()},
            data=self.data(),
            notes=list(self.notes),
            environment=env_version(self.config["task"]["env_id"]),
            checkpoint=self._identity(self.checkpoint),
            critic=self._identity(critic),
            wandb=next((place for logger in self.loggers if (place := logger.wandb_identity())), None),
        )
        if not final:
            self.run_dir.write(result)
            return result
        self.final.append(result)
        for run_logger in self.loggers:
            run_logger.log_result(result)
        return result

    def finish(self) -> None:
        """Writes the run's page and then its final result, when the loggers have ended."""
        # Charts take longer to load than a mistyped setting should take to be reported.
        from diffplan.report.run_page import write_run_page

        try:
            write_run_page(self.run_dir.path)
        finally:
            for result in self.final:
                self.run_dir.write(result)

    def _identity(self, path: Path | None) -> FileIdentity | None:
        """Returns place and hash of a checkpoint; a place in the run's folder is relative to it."""
        if path is None or not path.is_file():
            return None
        inside = path.is_relative_to(self.run_dir.path)
        name = path.relative_to(self.run_dir.path) if inside else path
        return FileIdentity.of(path).model_copy(update={"path": name.as_posix()})
