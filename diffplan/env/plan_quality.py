"""What can be said of plans beside their scores: do they keep to the world, and did the world keep to them."""

import numpy as np
from jaxtyping import Float, Float64

from diffplan.env.make_env import make_env
from diffplan.env.maze_layout import MazeLayout
from diffplan.env.rollout import Rollout

# Points looked at between two rows of a plan.
_BETWEEN = 8
# Contacts are soft: a body of radius 0.1 really comes this near to a wall with its centre, and no nearer.
_CLEARANCE = 0.05


def plan_quality(rollout: Rollout, stride: int) -> dict[str, float]:
    """Judges the first plan of every episode; empty where none was kept.

    In a maze: ``through_walls``, the share of plans whose path leaves the free space, and ``tracking_error``, the mean
    distance in metres between planned and executed positions. Elsewhere: ``first_step_error``, the root mean square
    difference between the observation planned for the next step and the one that came, in standard deviations of the
    observations met; and ``plan_value``, the mean of the critic's values of the plans, where there is a critic.

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
    """1 for every path that no body could follow for a wall, 0 for the others."""
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
