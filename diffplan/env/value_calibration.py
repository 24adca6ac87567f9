"""The critic's values against the returns that followed."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Integer

from diffplan.env.rollout import Rollout
from diffplan.return_target import ReturnTarget

# With a discount of 0.997 these are the decisions at least 462 steps before a time limit.
_MOST_UNSEEN = 0.25


@dataclass(frozen=True)
class ValueCalibration:
    """Every decision of a rollout that a critic valued, with what then happened.

    A time limit hides what would have followed, and the critic cannot see it coming. A decision whose return is hidden
    by more than a quarter, counted in weights of the discounted sum, says little about the critic: it is kept but not
    ``counted``. Decisions of episodes that terminated always count.

    Attributes:
        values: The critic's value of the chosen plan.
        returns: The discounted return that followed, as the critic's target defines it.
        counted: Whether enough of the return was seen.
    """

    values: Float64[np.ndarray, " decision"]
    returns: Float64[np.ndarray, " decision"]
    counted: Bool[np.ndarray, " decision"]

    @classmethod
    def of_rollout(cls, rollout: Rollout) -> "ValueCalibration | None":
        """Compares all decisions of a rollout.

        Args:
            rollout: Episodes, whole ones.

        Returns:
            The comparison; None where no critic valued anything.
        """
        if rollout.values is None or rollout.value_target is None:
            return None
        returns = discounted_returns(rollout.rewards, rollout.lengths, rollout.terminated, rollout.value_target)
        valued = np.isfinite(rollout.values) & np.isfinite(returns)
        remaining = rollout.lengths[:, None] - np.arange(rollout.rewards.shape[1])
        unseen = np.where(rollout.terminated[:, None], 0.0, rollout.value_target.discount ** np.maximum(remaining, 0.0))
        return cls(rollout.values[valued], returns[valued], (unseen <= _MOST_UNSEEN)[valued])

    @property
    def correlation(self) -> float | None:
        """Pearson's correlation over the counted decisions; None where either side does not vary."""
        values, returns = self.values[self.counted], self.returns[self.counted]
        if len(values) < 2 or np.ptp(values) == 0 or np.ptp(returns) == 0:
            return None
        return float(np.corrcoef(values, returns)[0, 1])

    @property
    def bias(self) -> float | None:
        """Mean of value minus return over the counted decisions; positive for a critic that hopes too much."""
        if not self.counted.any():
            return None
        return float((self.values - self.returns)[self.counted].mean())


def discounted_returns(
    rewards: Float64[np.ndarray, "env step"],
    lengths: Integer[np.ndarray, " env"],
    terminated: Bool[np.ndarray, " env"],
    target: ReturnTarget,
) -> Float64[np.ndarray, "env step"]:
    """Returns what followed each step until the end of its episode, discounted from there; NaN after the end.

    Args:
        rewards: Reward of each step.
        lengths: Steps each episode took; rewards past them are ignored.
        terminated: Episodes that ended in a terminal state.
        target: Discount, penalty, and what follows a time limit.
    """
    steps = np.arange(rewards.shape[1])
    running = steps < lengths[:, None]
    rewards = np.where(running, rewards, 0.0)
    following = np.zeros(len(rewards))
    if target.time_limit == "extrapolate":
        mean_rewards = rewards.sum(axis=1) / np.maximum(lengths, 1)
        following = np.where(terminated, 0.0, mean_rewards / (1.0 - target.discount))
    rewards[terminated, lengths[terminated] - 1] += target.termination_penalty
    returns = np.full(rewards.shape, np.nan)
    for step in steps[::-1]:
        following = np.where(running[:, step], rewards[:, step] + target.discount * following, following)
        returns[:, step] = np.where(running[:, step], following, np.nan)
    return returns
