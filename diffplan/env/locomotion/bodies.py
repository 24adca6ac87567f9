"""D4RL's four locomotion environments on current MuJoCo: rewards, ends of episodes and observations."""

from typing import Any, ClassVar, Literal

import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv
from gymnasium.envs.mujoco.ant_v5 import AntEnv
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv
from gymnasium.envs.mujoco.hopper_v5 import HopperEnv
from gymnasium.envs.mujoco.walker2d_v5 import Walker2dEnv
from gymnasium.spaces import Box
from gymnasium.utils import EzPickle
from jaxtyping import Float, Float64, UInt8

from diffplan.env.locomotion.locomotion_model import locomotion_model
from diffplan.env.render import StatePicture
from diffplan.errors import ConfigError

_NUM_CONTACT_FORCES = 84


class Locomotion(MujocoEnv, EzPickle):
    """What D4RL's version 2 changes in Gymnasium's version 5 classes; named before such a class in the list of bases.

    - An action is clipped to the range of the motors before it acts and before its cost is computed, as in D4RL's
      ``NormalizedBoxEnv``.
    - The bonus for being alive is also paid for the step on which the body falls.
    - Masses and contacts are those of the MuJoCo that recorded D4RL's data, see ``locomotion_model``.

    Reference: D4RL's ``gym_mujoco``; Gym 0.23's version 2 environments.

    Args:
        render_mode: ``rgb_array`` draws 256 by 256 pixels; None draws nothing.
        capsule_masses: ``d4rl``, or ``exact`` for data that was recorded with a later MuJoCo.

    Raises:
        ConfigError: The render mode or the masses are unknown.
    """

    # Arguments of Gymnasium's class that make it version 2.
    version_2: ClassVar[dict[str, Any]] = {}
    # The camera looks from this distance at a point of this height, in metres, and moves along the track with the body.
    camera_distance = 3.0
    camera_height = 0.6
    # The frame rate differs between the bodies; Gymnasium's class adds it.
    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012 (Gymnasium's own form)

    def __init__(self, render_mode: str | None = None, capsule_masses: Literal["d4rl", "exact"] = "d4rl") -> None:
        if render_mode not in (None, "rgb_array"):
            raise ConfigError(
                f"The render mode of a locomotion environment must be 'rgb_array' or None, got {render_mode!r}."
            )
        if capsule_masses not in ("d4rl", "exact"):
            raise ConfigError(f"The capsule masses of a body must be 'd4rl' or 'exact', got {capsule_masses!r}.")
        self._capsule_masses = capsule_masses
        self._picture: StatePicture | None = None
        super().__init__(render_mode=render_mode, **self.version_2)
        self.metadata = {**self.metadata, "render_modes": ["rgb_array"]}
        # Copies and pickles are built again from these arguments; Gymnasium's classes record their own ones.
        EzPickle.__init__(self, render_mode=render_mode, capsule_masses=capsule_masses)

    @property
    def corrections(self) -> str:
        """Differences from Gymnasium's version 5, for the record of a result."""
        masses = "; capsule masses of MuJoCo before 2.1.2" if self._capsule_masses == "d4rl" else ""
        return f"actions clipped; alive bonus on the last step; contact margins of MuJoCo before 3.5{masses}"

    @property
    def healthy_reward(self) -> float:
        """Bonus of every step, including the last one."""
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
        """Draws the present state if the render mode is ``rgb_array``.

        Raises:
            RenderingError: This machine cannot draw.
        """
        return None if self.render_mode is None else self._draw(self.data.qpos)

    def render_observation(
        self, observation: Float[np.ndarray, " observation"], root_x: float = 0.0
    ) -> UInt8[np.ndarray, "height width 3"]:
        """Draws the state that an observation describes. The running episode is not changed.

        Args:
            observation: Raw observation.
            root_x: Position of the body along the track in metres, which observations do not contain.

        Raises:
            RenderingError: This machine cannot draw.
        """
        skipped = self.observation_structure["skipped_qpos"]
        return self._draw(np.concatenate([[root_x, 0.0][:skipped], observation[: self.model.nq - skipped]]))

    def close(self) -> None:
        """Releases the drawing context."""
        if self._picture is not None:
            self._picture.close()
            self._picture = None
        super().close()

    def _initialize_simulation(self) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """Compiles the model. Gymnasium's constructor calls this method."""
        model = locomotion_model(self.fullpath, self._capsule_masses)
        return model, mujoco.MjData(model)

    def _draw(self, qpos: Float[np.ndarray, " position"]) -> UInt8[np.ndarray, "height width 3"]:
        if self._picture is None:
            self._picture = StatePicture(self.model, self.camera_distance, self.camera_height)
        return self._picture.draw(qpos.astype(np.float64))


class Ant(Locomotion, AntEnv):
    """Four legs that walk forward: 111 observations, of which the last 84 are zero, and 8 torques.

    Reward: forward velocity of the torso in metres per second, plus 1, minus half the squared action. An episode ends
    when the height of the torso leaves 0.2 to 1 m. D4RL's data was recorded with a MuJoCo that reported no contact
    forces, so their 84 columns are zero and cost nothing.

    Differs: MuJoCo changed more for this body than its margins (the integration of free joints, for instance), so its
    motion is close to D4RL's but not the same.
    Reference: D4RL ``ant-*-v2``.
    """

    version_2: ClassVar[dict[str, Any]] = {"contact_cost_weight": 0.0, "include_cfrc_ext_in_observation": False}
    camera_distance = 5.0

    def __init__(self, render_mode: str | None = None, capsule_masses: Literal["d4rl", "exact"] = "d4rl") -> None:
        super().__init__(render_mode, capsule_masses)
        width = sum(self.observation_structure.values()) - self.observation_structure["skipped_qpos"]
        self.observation_space = Box(-np.inf, np.inf, (width + _NUM_CONTACT_FORCES,), np.float64)

    def _get_obs(self) -> Float64[np.ndarray, " observation"]:
        return np.concatenate([super()._get_obs(), np.zeros(_NUM_CONTACT_FORCES)])


class HalfCheetah(Locomotion, HalfCheetahEnv):
    """Two legs that run forward: 17 observations and 6 torques.

    Reward: forward velocity in metres per second, minus 0.1 times the squared action. An episode ends only at its time
    limit.

    Reference: D4RL ``halfcheetah-*-v2``.
    """


class Hopper(Locomotion, HopperEnv):
    """One leg that hops forward: 11 observations and 3 torques.

    Reward: forward velocity in metres per second, plus 1, minus 0.001 times the squared action. An episode ends when
    the height is below 0.7 m, the lean is above 0.2 rad, or a coordinate is beyond 100.

    Reference: D4RL ``hopper-*-v2``.
    """


class Walker2d(Locomotion, Walker2dEnv):
    """Two legs that walk forward: 17 observations and 6 torques.

    Reward: forward velocity in metres per second, plus 1, minus 0.001 times the squared action. An episode ends when
    the height leaves 0.8 to 2 m or the lean exceeds 1 rad. The feet have the friction of the model before version 5.

    Reference: D4RL ``walker2d-*-v2``.
    """

    version_2: ClassVar[dict[str, Any]] = {"xml_file": "walker2d.xml"}
