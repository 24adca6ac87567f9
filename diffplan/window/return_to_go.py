"""The returns a critic learns, one for every row of a data set."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from diffplan.return_target import ReturnTarget
from diffplan.source import Episode


def returns_to_go(episodes: Sequence[Episode], target: ReturnTarget) -> Float32[np.ndarray, " row"]:
    """Returns what followed each row until the end of its episode, discounted from there.

    The sum runs to the end of the *episode*, not of the window that begins at the row.

    Args:
        episodes: In file order.
        target: Discount, penalty, and what follows a time limit.
    """
    returns = [_of_episode(episode, target) for episode in episodes]
    return np.concatenate(returns).astype(np.float32)


def _of_episode(episode: Episode, target: ReturnTarget) -> np.ndarray:
    rewards = episode.rewards.astype(np.float64)
    following = 0.0
    if episode.terminated:
        rewards[-1] += target.termination_penalty
    elif target.time_limit == "extrapolate":
        following = rewards.mean() / (1.0 - target.discount)
    returns = np.empty_like(rewards)
    for row in range(len(rewards) - 1, -1, -1):
        following = rewards[row] + target.discount * following
        returns[row] = following
    return returns
