"""Measures how good plans were and how well the critic valued them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Integer

from diffplan.env.make_env import make_env
from diffplan.env.maze2d.maze_layout import MazeLayout
from diffplan.env.rollout import Rollout
from diffplan.method.critic import ReturnTarget, returns_to_go

# Points that are checked between two rows of a plan.
_BETWEEN = 8
# Contacts are soft: the centre of a body of radius 0.1 m comes as near to a wall as this, and no nearer.
_CLEARANCE = 0.05


def plan_quality(rollout: Rollout, stride: int) -> dict[str, float]:
    """Measures the first plan of every episode; empty if there are no plans.

    In a maze the measures are ``through_walls``, the share of plans whose path leaves the free space, and
    ``tracking_error``, the mean distance in metres between planned and executed positions. In other environments they
    are ``first_step_error`` and, with a critic, ``plan_value``, the mean of its values of the plans. The former is the
    root mean square difference between the observation planned for the next step and the one that followed, in standard
    deviations of the observations in the rollout.

    Args:
        rollout: Episodes.
        stride: Environment steps between two rows of a plan.
    """
    if rollout.plans is None:
        return {}
    env = make_env(rollout.env_id)
    layout = getattr(env.unwrapped, "layout", None)
    env.close()
    plans = np.asarray(rollout.plans, dtype=np.float64)
    if isinstance(layout, MazeLayout):
        return {
            "through_walls": float(_through_walls(plans[..., :2], layout).mean()),
            "tracking_error": _tracking_error(plans[..., :2], rollout.observations[..., :2], stride),
        }
    quality = {"first_step_error": _first_step_error(plans, rollout.observations, stride)}
    if rollout.values is not None:
        quality["plan_value"] = float(np.nanmean(rollout.values))
    return quality


def _through_walls(paths: Float64[np.ndarray, "env row 2"], layout: MazeLayout) -> Float[np.ndarray, " env"]:
    """Returns 1 for every path that a wall blocks, 0 for the others."""
    fractions = np.arange(_BETWEEN) / _BETWEEN
    segments = paths[:, :-1, None] + fractions[:, None] * (paths[:, 1:] - paths[:, :-1])[:, :, None]
    free = layout.is_free(segments.reshape(len(paths), -1, 2), radius=_CLEARANCE)
    return np.asarray(~free.all(axis=1), dtype=np.float64)


def _tracking_error(
    planned: Float64[np.ndarray, "env row 2"], visited: Float64[np.ndarray, "env step 2"], stride: int
) -> float:
    rows = min(planned.shape[1], 1 + (visited.shape[1] - 1) // stride)
    distances = np.linalg.norm(planned[:, :rows] - visited[:, : rows * stride : stride], axis=-1)
    return float(np.nanmean(distances))


def _first_step_error(
    planned: Float64[np.ndarray, "env row observation"],
    visited: Float64[np.ndarray, "env step observation"],
    stride: int,
) -> float:
    spread = np.nanstd(visited, axis=(0, 1))
    came = visited[:, stride] if visited.shape[1] > stride else np.full_like(planned[:, 1], np.nan)
    differences = (planned[:, 1] - came) / np.where(spread > 0, spread, 1.0)
    return float(np.sqrt(np.nanmean(differences**2)))


# With a discount of 0.997, decisions at least 462 steps before a time limit are counted.
_MOST_UNSEEN = 0.25


@dataclass(frozen=True)
class ValueCalibration:
    """Every decision of a rollout that a critic valued, with the return that followed.

    A time limit hides what would have followed, and the critic cannot foresee it. If more than a quarter of a return,
    by the weights of the discounted sum, is hidden, the decision says little about the critic: it is kept but not
    ``counted``. Decisions of episodes that terminated always count.

    Attributes:
        values: The critic's value of the chosen plan.
        returns: The discounted return that followed, as the critic's target defines it.
        counted: Whether enough of the return was observed.
    """

    values: Float64[np.ndarray, " decision"]
    returns: Float64[np.ndarray, " decision"]
    counted: Bool[np.ndarray, " decision"]

    @classmethod
    def of_rollout(cls, rollout: Rollout) -> "ValueCalibration | None":
        """Compares all decisions of a rollout.

        Args:
            rollout: Complete episodes.

        Returns:
            The comparison; None without a critic.
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
        """Pearson's correlation over the counted decisions; None if values or returns do not vary."""
        values, returns = self.values[self.counted], self.returns[self.counted]
        if len(values) < 2 or np.ptp(values) == 0 or np.ptp(returns) == 0:
            return None
        return float(np.corrcoef(values, returns)[0, 1])

    @property
    def bias(self) -> float | None:
        """Mean of value minus return over the counted decisions; positive for a critic that is too optimistic."""
        if not self.counted.any():
            return None
        return float((self.values - self.returns)[self.counted].mean())


def discounted_returns(
    rewards: Float64[np.ndarray, "env step"],
    lengths: Integer[np.ndarray, " env"],
    terminated: Bool[np.ndarray, " env"],
    target: ReturnTarget,
) -> Float64[np.ndarray, "env step"]:
    """Returns the discounted return from each step to the end of its episode; NaN after the end.

    Args:
        rewards: Reward of each step.
        lengths: Steps each episode took; rewards past them are ignored.
        terminated: Episodes that ended in a terminal state.
        target: Discount, penalty, and what follows a time limit.
    """
    running = np.arange(rewards.shape[1]) < lengths[:, None]
    returns = np.full(rewards.shape, np.nan)
    returns[running] = returns_to_go(rewards[running], np.cumsum(lengths), terminated, target)
    return returns
