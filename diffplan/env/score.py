"""Scores of a set of episodes, and the difference between two sets with equal seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer


def normalized_score(
    returns: Float[np.ndarray, "*batch"], reference_min: float, reference_max: float
) -> Float[np.ndarray, "*batch"]:
    """Scales returns so that D4RL's random policy scores 0 and its reference controller scores 100.

    Args:
        returns: Undiscounted returns of whole episodes.
        reference_min: D4RL's return of the random policy.
        reference_max: D4RL's return of the reference controller.
    """
    return np.asarray(100.0 * (returns - reference_min) / (reference_max - reference_min))


def standard_error(values: Float[np.ndarray, " sample"]) -> float:
    """Returns the standard error of the mean as in the paper: population deviation over the root of the sample size."""
    return float(np.std(values) / np.sqrt(len(values)))


def latched_returns(
    rewards: Float[np.ndarray, "env step"], lengths: Integer[np.ndarray, " env"]
) -> Float[np.ndarray, " env"]:
    """Computes returns that count 1 for the first rewarded step and for every later step of the episode.

    Later papers report these for Maze2D. They exceed the true returns if the ball leaves the target again.

    Args:
        rewards: Reward of each step.
        lengths: Number of steps of each episode. Later rewards are ignored.
    """
    steps = np.arange(rewards.shape[1])
    rewarded = (rewards > 0) & (steps < lengths[:, None])
    first = np.where(rewarded.any(axis=1), rewarded.argmax(axis=1), lengths)
    return (lengths - first).astype(np.float64)


@dataclass(frozen=True)
class PairedDifference:
    """Holds by how much one planner scored more than another on episodes with equal seeds.

    Attributes:
        mean: Mean difference.
        low: Lower end of the interval of the mean; minus infinity for a single episode.
        high: Upper end of the interval.
    """

    mean: float
    low: float
    high: float

    @classmethod
    def of(
        cls,
        scores: Float[np.ndarray, " episode"] | Sequence[float],
        reference: Float[np.ndarray, " episode"] | Sequence[float],
        num_comparisons: int = 1,
    ) -> "PairedDifference":
        """Computes the difference and its 95 % interval by Student's distribution.

        Args:
            scores: Score of each episode.
            reference: Scores that the other planner reached on the same seeds, in the same order.
            num_comparisons: How many planners are compared with the reference. With Bonferroni's correction, the
                intervals of all of them hold together in 95 % of cases.
        """
        differences = np.subtract(scores, reference)
        mean, degrees = float(differences.mean()), len(differences) - 1
        if degrees == 0:
            return cls(mean, -math.inf, math.inf)
        margin = (
            student_quantile(1 - 0.05 / num_comparisons, degrees) * differences.std(ddof=1) / math.sqrt(degrees + 1)
        )
        return cls(mean, mean - float(margin), mean + float(margin))


def student_quantile(coverage: float, degrees: int) -> float:
    """Returns the number that the absolute value of Student's t exceeds with probability ``1 - coverage``.

    With ``t = sqrt(degrees) tan(angle)`` the density is a power of the angle's cosine, which is summed up here.

    Args:
        coverage: From 0 to below 1.
        degrees: Degrees of freedom, at least 1.
    """
    angles = np.linspace(0.0, math.pi / 2, 200_001)
    density = np.cos(angles) ** (degrees - 1)
    shares = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    return float(math.sqrt(degrees) * np.tan(np.interp(coverage, shares / shares[-1], angles)))
