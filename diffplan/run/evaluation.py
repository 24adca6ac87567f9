"""Plays many seeded episodes with one planner under one protocol, and scores them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from diffplan.env.plan_measures import ValueCalibration, discounted_returns
from diffplan.env.rollout import Rollout, rollout
from diffplan.env.score import normalized_score, standard_error
from diffplan.planner.base import AbstractPlanner
from diffplan.run.guide_comparison import GuideComparison
from diffplan.run.result import EpisodeScores


@dataclass(frozen=True)
class Evaluation:
    """The episodes that a planner played under one protocol, and their scores.

    For a task without a goal, neither the numbers nor the table hold latched scores, successes and steps to the goal.

    Attributes:
        rollout: The episodes.
        scores: D4RL-normalised score of each episode, from its true return.
        latched_scores: The same from the latched return: every step after first reaching the goal counts as at it.
            Some later papers report this one; it is never comparable with ``scores``. None where there is no goal.
        reference_min: Return that scores 0.
        reference_max: Return that scores 100.
        comparison: The same episodes without a guide, or the first of them; None if they were not played.
    """

    rollout: Rollout
    scores: Float[np.ndarray, " env"]
    latched_scores: Float[np.ndarray, " env"] | None
    reference_min: float
    reference_max: float
    comparison: GuideComparison | None = None

    def beside(self, unguided: "Evaluation") -> "Evaluation":
        """Returns the same evaluation, compared with episodes that were played without a guide.

        Args:
            unguided: Its seeds are the first seeds of this evaluation.
        """
        scores = self.scores[: len(unguided.scores)]
        return replace(self, comparison=GuideComparison(scores, unguided.scores, unguided.rollout.complete))

    @property
    def complete(self) -> bool:
        """Whether every episode has ended, also of those without a guide."""
        return self.rollout.complete and (self.comparison is None or self.comparison.complete)

    @property
    def prefix(self) -> str:
        """The first part of every metric key."""
        return f"eval/{self.rollout.protocol}"

    @cached_property
    def calibration(self) -> ValueCalibration | None:
        """The critic's values against the returns that followed; None without a critic."""
        return ValueCalibration.of_rollout(self.rollout)

    def metrics(self) -> dict[str, float]:
        """Returns the numbers for the loggers; the documentation's table of metrics explains the keys."""
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
        if self.comparison is not None:
            numbers |= self.comparison.metrics()
        return {f"{self.prefix}/{name}": value for name, value in numbers.items()}

    def episodes(self) -> EpisodeScores:
        """Returns what the result file keeps of each episode."""
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
        """Returns the columns and the rows of a table with one row per episode."""
        columns = self._episode_columns() if self.latched_scores is None else self._goal_columns(self.latched_scores)
        return tuple(columns), [list(row) for row in zip(*columns.values(), strict=True)]

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


def evaluate(
    env_id: str,
    planner: AbstractPlanner,
    seeds: Sequence[int],
    protocol: str,
    reference_min: float,
    reference_max: float,
    num_videos: int = 0,
    should_stop: Callable[[], bool] | None = None,
    on_step: Callable[[], None] | None = None,
) -> Evaluation:
    """Plays one episode a seed and scores it against D4RL's references.

    Args:
        env_id: Environment.
        planner: Plans for all episodes at once.
        seeds: One per episode.
        protocol: ``single_task`` or ``multi2d``.
        reference_min: Return that scores 0.
        reference_max: Return that scores 100.
        num_videos: How many of the first episodes are filmed.
        should_stop: Called between steps; if it returns True, playing ends with the episodes as they are.
        on_step: Called after every step of all episodes.
    """
    episodes = rollout(
        env_id,
        planner,
        seeds,
        protocol=protocol,  # type: ignore[arg-type]
        render=range(min(num_videos, len(seeds))),
        should_stop=should_stop,
        on_step=on_step,
    )
    scores = normalized_score(episodes.returns, reference_min, reference_max)
    latched_scores = None
    if episodes.has_goal:
        latched_scores = normalized_score(episodes.latched_returns, reference_min, reference_max)
    return Evaluation(episodes, scores, latched_scores, reference_min, reference_max)
