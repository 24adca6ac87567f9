"""One planner, one protocol, many seeded episodes: scores, a table and pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from diffplan.env.make_env import make_env
from diffplan.env.rollout import Planner, Rollout, rollout
from diffplan.env.score import normalized_score, standard_error
from diffplan.logger.base import AbstractRunLogger
from diffplan.report.episode_video import tile_videos, write_video
from diffplan.report.plan_picture import draw_plans

_COLUMNS = (
    "seed", "start_x", "start_y", "goal_x", "goal_y", "return", "latched_return", "length", "steps_to_goal", "score",
    "latched_score",
)  # fmt: skip


@dataclass(frozen=True)
class Evaluation:
    """How a planner did under one protocol.

    Attributes:
        rollout: The episodes.
        scores: D4RL-normalised score of each episode, from its true return.
        latched_scores: The same from the latched return: every step after first reaching the goal counts as at it.
            Some later papers report this one; it is never comparable with ``scores``.
    """

    rollout: Rollout
    scores: Float[np.ndarray, " env"]
    latched_scores: Float[np.ndarray, " env"]

    @property
    def prefix(self) -> str:
        """First part of every metric key."""
        return f"eval/{self.rollout.protocol}"

    def metrics(self) -> dict[str, float]:
        """Numbers for the loggers; keys as in the README's table of metrics."""
        rollout = self.rollout
        numbers = {
            "normalized_score_mean": float(self.scores.mean()),
            "normalized_score_stderr": standard_error(self.scores),
            "latched_score_mean": float(self.latched_scores.mean()),
            "latched_score_stderr": standard_error(self.latched_scores),
            "return_mean": float(rollout.returns.mean()),
            "success_rate": float(rollout.successes.mean()),
            "num_episodes": float(len(rollout.seeds)),
            "planning_seconds": rollout.planning_seconds,
            "decision_seconds": rollout.planning_seconds / max(int(rollout.lengths.sum()), 1),
        }
        if rollout.successes.any():
            numbers["steps_to_goal_mean"] = float(np.nanmean(rollout.steps_to_goal))
        return {f"{self.prefix}/{name}": value for name, value in numbers.items()}

    def table(self) -> tuple[Sequence[str], list[list[Any]]]:
        """One row an episode."""
        rollout = self.rollout
        no_goal = np.full((len(rollout.seeds), 2), np.nan)
        goals = rollout.targets if rollout.targets is not None else no_goal
        rows = []
        for index, seed in enumerate(rollout.seeds):
            steps_to_goal = rollout.steps_to_goal[index]
            rows.append([
                int(seed), *map(float, rollout.starts[index, :2]), *map(float, goals[index]),
                float(rollout.returns[index]), float(rollout.latched_returns[index]), int(rollout.lengths[index]),
                None if np.isnan(steps_to_goal) else int(steps_to_goal),
                float(self.scores[index]), float(self.latched_scores[index]),
            ])  # fmt: skip
        return _COLUMNS, rows

    def draw(self, folder: Path, step: int) -> dict[str, Path]:
        """Writes the plans as a picture and the rendered episodes as a video; returns them by metric key."""
        rollout = self.rollout
        files = {}
        layout = getattr(make_env(rollout.env_id).unwrapped, "layout", None)
        if layout is not None:
            files[f"{self.prefix}/plans"] = folder / f"{rollout.protocol}-plans-step{step}.png"
            draw_plans(layout, rollout, files[f"{self.prefix}/plans"], self.scores)
        if rollout.frames:
            files[f"{self.prefix}/video"] = folder / f"{rollout.protocol}-video-step{step}.mp4"
            write_video(tile_videos(list(rollout.frames.values())), files[f"{self.prefix}/video"], fps=25)
        return files

    def log(self, loggers: Sequence[AbstractRunLogger], folder: Path, step: int) -> None:
        """Gives the same numbers, table, picture and video to every logger."""
        metrics, (columns, rows), files = self.metrics(), self.table(), self.draw(folder, step)
        for logger in loggers:
            logger.log_metrics(metrics, step)
            logger.log_table(f"{self.prefix}/episodes", columns, rows, step)
            for key, path in files.items():
                logger.log_media(key, path, step)


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
    return Evaluation(
        episodes,
        normalized_score(episodes.returns, reference_min, reference_max),
        normalized_score(episodes.latched_returns, reference_min, reference_max),
    )
