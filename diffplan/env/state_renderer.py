import numpy as np
from jaxtyping import Float, Float64, UInt8

from diffplan.env.make_env import make_env


class StateRenderer:
    """Pictures of the states that observations describe, in an environment of its own.

    Args:
        env_id: An environment with ``render_observation``.
    """

    def __init__(self, env_id: str) -> None:
        self._env = make_env(env_id)

    def picture(self, observation: Float[np.ndarray, " observation"], place: float) -> UInt8[np.ndarray, "h w 3"]:
        """Draws one state.

        Args:
            observation: Raw observation.
            place: Where the body is along the track, in metres; no observation says.

        Raises:
            RenderingError: this machine cannot make pictures.
        """
        return self._env.unwrapped.render_observation(observation, root_x=place)

    def places(self, observations: Float[np.ndarray, "row observation"]) -> Float64[np.ndarray, " row"]:
        """Sums up how far the body has come along the track since the first row, in metres.

        Args:
            observations: Raw observations of consecutive steps; NaN where there is none any more.
        """
        # Positions come first in an observation, and the velocity along the track is the first of the velocities.
        column = self._env.unwrapped.observation_structure["qpos"]
        velocities = observations[:, column].astype(np.float64)
        # Trapezoidal rule.
        metres = (velocities[1:] + velocities[:-1]) / 2 * self._env.unwrapped.dt
        return np.concatenate([[0.0], np.cumsum(metres)])

    def close(self) -> None:
        """Gives the renderer back."""
        self._env.close()
