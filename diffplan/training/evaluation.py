"""One planner, one protocol, many seeded episodes: scores, a table and pictures."""

import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from diffplan.env.make_env import make_env
from diffplan.env.plan_measures import ValueCalibration, discounted_returns
from diffplan.env.render import StateRenderer
from diffplan.env.rollout import Rollout, rollout
from diffplan.env.score import normalized_score, standard_error
from diffplan.errors import RenderingError
from diffplan.planner.base import Planner
from diffplan.report.picture.calibration_picture import draw_calibration
from diffplan.report.picture.episode_video import tile_videos, write_video
from diffplan.report.picture.imagined_picture import draw_imagined
from diffplan.report.picture.plan_picture import draw_plans
from diffplan.run.result import EpisodeScores
from diffplan.tracking.base import AbstractRunLogger

logger = logging.getLogger(__name__)

_SLOW_MOTION_FPS, _SLOWEST_FPS, _FASTEST_FPS = 4.0, 10.0, 25.0
_SHORTEST_SECONDS = 2.0


@dataclass(frozen=True)
class Evaluation:
    """How a planner did under one protocol.

    What a task has no goal for (latched scores, successes, steps to the goal) is in neither its numbers nor its table.

    Attributes:
        rollout: The episodes.
        scores: D4RL-normalised score of each episode, from its true return.
        latched_scores: The same from the latched return: every step after first reaching the goal counts as at it.
            Some later papers report this one; it is never comparable with ``scores``. None where there is no goal.
        reference_min: Return that scores 0.
        reference_max: Return that scores 100.
    """

    rollout: Rollout
    scores: Float[np.ndarray, " env"]
    latched_scores: Float[np.ndarray, " env"] | None
    reference_min: float
    reference_max: float

    @property
    def prefix(self) -> str:
        """First part of every metric key."""
        return f"eval/{self.rollout.protocol}"

    @cached_property
    def calibration(self) -> ValueCalibration | None:
        """The critic's values against the returns that followed; None without a critic."""
        return ValueCalibration.of_rollout(self.rollout)

    def metrics(self) -> dict[str, float]:
        """Numbers for the loggers; keys as in the README's table of metrics."""
        rollout = self.rollout
        numbers = {
            "normalized_score_mean": float(self.scores.mean()),
            "normalized_score_stderr": standard_error(self.scores),
            "return_mean": float(rollout.returns.mean()),
            "num_episodes": float(len(rollout.seeds)),
            "planning_seconds": rollout.planning_seconds,
            "decision_seconds": rollout.planning_seconds / self._num_decisions,
        }
        numbers |= self._episode_numbers() if self.latched_scores is None else self._goal_numbers(self.latched_scores)
        if rollout.decision_flops is not None:
            numbers["decision_gflop"] = rollout.decision_flops / 1e9
        if self.calibration is not None and self.calibration.correlation is not None:
            numbers["value_correlation"] = self.calibration.correlation
        if self.calibration is not None and self.calibration.bias is not None:
            numbers["value_bias"] = self.calibration.bias
        return {f"{self.prefix}/{name}": value for name, value in numbers.items()}

    def episodes(self) -> EpisodeScores:
        """What the result file keeps of each episode."""
        rollout = self.rollout
        return EpisodeScores(
            seeds=list(rollout.seeds),
            returns=rollout.returns.tolist(),
            scores=self.scores.tolist(),
            lengths=rollout.lengths.tolist(),
            latched_scores=None if self.latched_scores is None else self.latched_scores.tolist(),
            reference_min=self.reference_min,
            reference_max=self.reference_max,
            decision_seconds=rollout.planning_seconds / self._num_decisions,
            decision_cpu_seconds=rollout.planning_cpu_seconds / self._num_decisions,
            decision_gflop=None if rollout.decision_flops is None else rollout.decision_flops / 1e9,
        )

    def table(self) -> tuple[Sequence[str], list[list[Any]]]:
        """One row an episode."""
        columns = self._episode_columns() if self.latched_scores is None else self._goal_columns(self.latched_scores)
        return tuple(columns), [list(row) for row in zip(*columns.values(), strict=True)]

    def draw(self, folder: Path, step: int) -> dict[str, Path]:
        """Writes what there is to see of the episodes; returns the files by metric key.

        Plans in a maze, the critic's values against the returns that followed, states as they were imagined and as
        they came, and a video of the episodes. States that cannot be rendered here are left out with a warning.
        """
        rollout = self.rollout
        paths = {
            label: folder / f"{rollout.protocol}-{label}-step{step}.{suffix}"
            for label, suffix in (("plans", "png"), ("calibration", "png"), ("imagined", "png"), ("video", "mp4"))
        }
        drawn = []
        env = make_env(rollout.env_id).unwrapped
        if hasattr(env, "layout"):
            draw_plans(env.layout, rollout, paths["plans"], self.scores)
            drawn.append("plans")
        if self.calibration is not None and rollout.value_target is not None:
            draw_calibration(self.calibration, rollout.value_target, paths["calibration"])
            drawn.append("calibration")
        if rollout.moments and hasattr(env, "render_observation") and self._draw_imagined(paths["imagined"]):
            drawn.append("imagined")
        if rollout.frames:
            tiles = tile_videos(list(rollout.frames.values()))
            rate = _frames_per_second(getattr(env, "dt", None), rollout.frame_interval, len(tiles))
            write_video(tiles, paths["video"], rate)
            drawn.append("video")
        env.close()
        return {f"{self.prefix}/{label}": paths[label] for label in drawn}

    def log(self, loggers: Sequence[AbstractRunLogger], folder: Path, step: int) -> None:
        """Gives the same numbers, table, pictures and video to every logger; the numbers first."""
        metrics, (columns, rows) = self.metrics(), self.table()
        for run_logger in loggers:
            run_logger.log_metrics(metrics, step)
            run_logger.log_table(f"{self.prefix}/episodes", columns, rows, step)
        files = self.draw(folder, step)
        for run_logger in loggers:
            for key, path in files.items():
                run_logger.log_media(key, path, step)

    @property
    def _num_decisions(self) -> int:
        """Actions taken, over all episodes."""
        return max(int(self.rollout.lengths.sum()), 1)

    def _goal_numbers(self, latched_scores: Float[np.ndarray, " env"]) -> dict[str, float]:
        numbers = {
            "latched_score_mean": float(latched_scores.mean()),
            "latched_score_stderr": standard_error(latched_scores),
            "success_rate": float(self.rollout.successes.mean()),
        }
        if self.rollout.successes.any():
            numbers["steps_to_goal_mean"] = float(np.nanmean(self.rollout.steps_to_goal))
        return numbers

    def _episode_numbers(self) -> dict[str, float]:
        return {
            "episode_length_mean": float(self.rollout.lengths.mean()),
            "termination_rate": float(self.rollout.terminated.mean()),
            "decision_cpu_seconds": self.rollout.planning_cpu_seconds / self._num_decisions,
        }

    def _goal_columns(self, latched_scores: Float[np.ndarray, " env"]) -> dict[str, Sequence[Any]]:
        rollout, goals = self.rollout, np.asarray(self.rollout.targets)
        return {
            "seed": rollout.seeds,
            "start_x": rollout.starts[:, 0].tolist(),
            "start_y": rollout.starts[:, 1].tolist(),
            "goal_x": goals[:, 0].tolist(),
            "goal_y": goals[:, 1].tolist(),
            "return": rollout.returns.tolist(),
            "latched_return": rollout.latched_returns.tolist(),
            "length": rollout.lengths.tolist(),
            "steps_to_goal": [None if np.isnan(steps) else int(steps) for steps in rollout.steps_to_goal],
            "score": self.scores.tolist(),
            "latched_score": latched_scores.tolist(),
        }

    def _episode_columns(self) -> dict[str, Sequence[Any]]:
        rollout = self.rollout
        columns: dict[str, Sequence[Any]] = {
            "seed": rollout.seeds,
            "return": rollout.returns.tolist(),
            "length": rollout.lengths.tolist(),
            "terminated": rollout.terminated.tolist(),
            "score": self.scores.tolist(),
        }
        if rollout.values is not None and rollout.value_target is not None:
            followed = discounted_returns(rollout.rewards, rollout.lengths, rollout.terminated, rollout.value_target)
            columns |= {"first_value": rollout.values[:, 0].tolist(), "discounted_return": followed[:, 0].tolist()}
        return columns

    def _draw_imagined(self, path: Path) -> bool:
        """Draws the moments of the first filmed episode; False where states cannot be rendered."""
        rollout = self.rollout
        try:
            with closing(StateRenderer(rollout.env_id)) as renderer:
                draw_imagined(renderer, rollout, [m for m in rollout.moments if m.env == rollout.moments[0].env], path)
        except RenderingError as error:
            logger.warning("Imagined states are not drawn: %s", error)
            return False
        return True


def evaluate(
    env_id: str,
    planner: Planner,
    seeds: Sequence[int],
    protocol: str,
    reference_min: float,
    reference_max: float,
    num_videos: int = 0,
    should_stop: Callable[[], bool] | None = None,
) -> Evaluation:
    """Plays one episode a seed and scores it against D4RL's references.

    Args:
        env_id: Environment.
        planner: Plans for all episodes at once.
        seeds: One an episode.
        protocol: ``single_task`` or ``multi2d``.
        reference_min: Return that scores 0.
        reference_max: Return that scores 100.
        num_videos: How many of the first episodes are filmed.
        should_stop: Asked between steps; True ends early with the episodes as they stand.
    """
    episodes = rollout(
        env_id,
        planner,
        seeds,
        protocol=protocol,  # type: ignore[arg-type]
        render=range(min(num_videos, len(seeds))),
        should_stop=should_stop,
    )
    scores = normalized_score(episodes.returns, reference_min, reference_max)
    latched_scores = None
    if episodes.has_goal:
        latched_scores = normalized_score(episodes.latched_returns, reference_min, reference_max)
    return Evaluation(episodes, scores, latched_scores, reference_min, reference_max)


def _frames_per_second(step_seconds: float | None, frame_interval: int, num_frames: int) -> float:
    """Real time, unless that is too slow to look at, faster than a video needs, or over in a moment."""
    real_time = np.inf if step_seconds is None else 1 / (step_seconds * frame_interval)
    rate = float(np.clip(real_time, _SLOWEST_FPS, _FASTEST_FPS))
    return min(rate, max(num_frames / _SHORTEST_SECONDS, _SLOW_MOTION_FPS))
