"""Observations as networks take them."""

import gymnasium
import numpy as np


def single_precision(env: gymnasium.Env) -> gymnasium.Env:
    """Wraps an environment so that its observations, and whatever stores them by their space, are float32.

    Args:
        env: Environment with vectors as observations, without limits.
    """
    # Gymnasium's own DtypeObservation warns about the infinite bounds.
    space = gymnasium.spaces.Box(-np.inf, np.inf, env.observation_space.shape, np.float32)
    return gymnasium.wrappers.TransformObservation(env, np.float32, space)
