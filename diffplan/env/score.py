"""Scores of a set of episodes."""

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
