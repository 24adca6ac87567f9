"""The policy of D4RL's random sets."""

import numpy as np
from jaxtyping import Float32

from diffplan.env.episode_recorder import PolicyAction


class UniformPolicy:
    """Draws every action uniformly from [-1, 1], whatever it observes.

    Args:
        action_dim: Number of actuators.
    """

    def __init__(self, action_dim: int) -> None:
        self.action_dim = action_dim

    def sample(self, observation: Float32[np.ndarray, " observation"], generator: np.random.Generator) -> PolicyAction:
        """Draws an action.

        Args:
            observation: Observation in raw units; it has no influence.
            generator: Source of the randomness.
        """
        action = generator.uniform(-1.0, 1.0, self.action_dim).astype(np.float32)
        return PolicyAction(action, -self.action_dim * float(np.log(2.0)))
