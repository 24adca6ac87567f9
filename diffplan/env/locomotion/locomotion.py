"""What D4RL's version 2 of the locomotion environments has and Gymnasium's version 5 has not."""

from typing import Any, Literal

import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv
from gymnasium.utils import EzPickle
from jaxtyping import Float, Float64, UInt8

from diffplan.env.locomotion.locomotion_model import locomotion_model
from diffplan.env.render.state_picture import StatePicture
from diffplan.errors import ConfigError


class Locomotion(MujocoEnv, EzPickle):
    """Put before one of Gymnasium's version 5 classes, gives D4RL's rewards and dynamics.

    - An action is clipped to the motors' range before it acts and before it is charged for, as D4RL's
      ``NormalizedBoxEnv`` does.
    - The bonus for being alive is also paid for the step on which the body falls.
    - Masses and contacts are those of the MuJoCo that recorded D4RL's data; see ``locomotion_model``.

    Reference: D4RL's ``gym_mujoco``; Gym 0.23's version 2 environments.

    Args:
        render_mode: ``rgb_array`` draws 256 by 256 pixels; None draws nothing.
        capsule_masses: ``d4rl``, or ``exact`` for data that was recorded with a later MuJoCo.
        settings: Those of Gymnasium's class that make it version 2.

    Raises:
        ConfigError: an argument that names no render mode or masses.
    """

    # Pictures show from this many metres away what is at this height and as far along the track as the body.
    camera_distance = 3.0
    camera_height = 0.6
    # The rate differs from body to body; Gymnasium's class adds it.
    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012 (Gymnasium's own form)

    def __init__(
        self, render_mode: str | None = None, capsule_masses: Literal["d4rl", "exact"] = "d4rl", **settings: Any
    ) -> None:
        if render_mode not in (None, "rgb_array"):
            raise ConfigError(
                f"The render mode of a locomotion environment must be 'rgb_array' or None, got {render_mode!r}."
            )
        if capsule_masses not in ("d4rl", "exact"):
            raise ConfigError(f"The capsule masses of a body must be 'd4rl' or 'exact', got {capsule_masses!r}.")
        self._capsule_masses = capsule_masses
        self._picture: StatePicture | None = None
        super().__init__(render_mode=render_mode, **settings)
        self.metadata = {**self.metadata, "render_modes": ["rgb_array"]}
        # Copies and pickles are made anew with these arguments; Gymnasium's classes note down their own.
        EzPickle.__init__(self, render_mode=render_mode, capsule_masses=capsule_masses)

    @property
    def corrections(self) -> str:
        """What differs from Gymnasium's version 5, for the record of a result."""
        masses = "; capsule masses of MuJoCo before 2.1.2" if self._capsule_masses == "d4rl" else ""
        return f"actions clipped; alive bonus on the last step; contact margins of MuJoCo before 3.5{masses}"

    @property
    def healthy_reward(self) -> float:
        """Bonus of every step, the last included."""
        return self._healthy_reward

    def step(
        self, action: Float[np.ndarray, " action"]
    ) -> tuple[Float64[np.ndarray, " observation"], float, bool, bool, dict[str, Any]]:
        """Clips the action and takes the step."""
        observation, reward, terminated, truncated, info = super().step(
            np.clip(action, self.action_space.low, self.action_space.high)
        )
        return observation, float(reward), bool(terminated), truncated, info

    def render(self) -> UInt8[np.ndarray, "height width 3"] | None:
        """Draws the present state, if the environment was made to.

        Raises:
            RenderingError: this machine cannot make pictures.
        """
        return None if self.render_mode is None else self._draw(self.data.qpos)

    def render_observation(
        self, observation: Float[np.ndarray, " observation"], root_x: float = 0.0
    ) -> UInt8[np.ndarray, "height width 3"]:
        """Draws the state that an observation describes; the episode goes on undisturbed.

        Args:
            observation: Raw observation.
            root_x: Where the body is along the track, in metres; observations leave it out.

        Raises:
            RenderingError: this machine cannot make pictures.
        """
        skipped = self.observation_structure["skipped_qpos"]
        return self._draw(np.concatenate([[root_x, 0.0][:skipped], observation[: self.model.nq - skipped]]))

    def close(self) -> None:
        """Gives the drawing context back."""
        if self._picture is not None:
            self._picture.close()
            self._picture = None
        super().close()

    def _initialize_simulation(self) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """Compiles the model; Gymnasium's constructor calls this."""
        model = locomotion_model(self.fullpath, self._capsule_masses)
        return model, mujoco.MjData(model)

    def _draw(self, qpos: Float[np.ndarray, " position"]) -> UInt8[np.ndarray, "height width 3"]:
        if self._picture is None:
            self._picture = StatePicture(self.model, self.camera_distance, self.camera_height)
        return self._picture.draw(qpos.astype(np.float64))
