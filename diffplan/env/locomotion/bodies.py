"""The four bodies of D4RL's locomotion tasks: rewards, falls and observations."""

from typing import Literal

import numpy as np
from gymnasium.envs.mujoco.ant_v5 import AntEnv
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv
from gymnasium.envs.mujoco.hopper_v5 import HopperEnv
from gymnasium.envs.mujoco.walker2d_v5 import Walker2dEnv
from gymnasium.spaces import Box
from jaxtyping import Float64

from diffplan.env.locomotion.locomotion import Locomotion

_NUM_CONTACT_FORCES = 84


class Ant(Locomotion, AntEnv):
    """Four legs that walk forward: 111 observations, of which the last 84 are zero, 8 torques.

    Reward: forward velocity of the torso in metres per second, plus 1, minus half the squared action. Ends when the
    torso's height leaves 0.2 to 1 m. D4RL's data was recorded with a MuJoCo that reported no contact forces, so their
    84 columns are zero and cost nothing.

    Differs: MuJoCo has changed more than its margins for this body (the integration of free joints among them), so its
    motion is close to D4RL's and not the same.
    Reference: D4RL ``ant-*-v2``.

    Args:
        render_mode: ``rgb_array`` draws 256 by 256 pixels; None draws nothing.
        capsule_masses: ``d4rl``, or ``exact`` for data that was recorded with a later MuJoCo.

    Raises:
        ConfigError: an argument that names no render mode or masses.
    """

    camera_distance = 5.0

    def __init__(self, render_mode: str | None = None, capsule_masses: Literal["d4rl", "exact"] = "d4rl") -> None:
        super().__init__(render_mode, capsule_masses, contact_cost_weight=0.0, include_cfrc_ext_in_observation=False)
        width = sum(self.observation_structure.values()) - self.observation_structure["skipped_qpos"]
        self.observation_space = Box(-np.inf, np.inf, (width + _NUM_CONTACT_FORCES,), np.float64)

    def _get_obs(self) -> Float64[np.ndarray, " observation"]:
        return np.concatenate([super()._get_obs(), np.zeros(_NUM_CONTACT_FORCES)])


class HalfCheetah(Locomotion, HalfCheetahEnv):
    """Two legs that run forward: 17 observations, 6 torques.

    Reward: forward velocity in metres per second, minus 0.1 times the squared action. Never ends but at its time limit.

    Reference: D4RL ``halfcheetah-*-v2``.

    Args:
        render_mode: ``rgb_array`` draws 256 by 256 pixels; None draws nothing.
        capsule_masses: ``d4rl``, or ``exact`` for data that was recorded with a later MuJoCo.

    Raises:
        ConfigError: an argument that names no render mode or masses.
    """

    def __init__(self, render_mode: str | None = None, capsule_masses: Literal["d4rl", "exact"] = "d4rl") -> None:
        super().__init__(render_mode, capsule_masses)


class Hopper(Locomotion, HopperEnv):
    """One leg that hops forward: 11 observations, 3 torques.

    Reward: forward velocity in metres per second, plus 1, minus 0.001 times the squared action. Ends when the height
    is below 0.7 m, the lean above 0.2 rad, or a coordinate beyond 100.

    Reference: D4RL ``hopper-*-v2``.

    Args:
        render_mode: ``rgb_array`` draws 256 by 256 pixels; None draws nothing.
        capsule_masses: ``d4rl``, or ``exact`` for data that was recorded with a later MuJoCo.

    Raises:
        ConfigError: an argument that names no render mode or masses.
    """

    def __init__(self, render_mode: str | None = None, capsule_masses: Literal["d4rl", "exact"] = "d4rl") -> None:
        super().__init__(render_mode, capsule_masses)


class Walker2d(Locomotion, Walker2dEnv):
    """Two legs that walk forward: 17 observations, 6 torques.

    Reward: forward velocity in metres per second, plus 1, minus 0.001 times the squared action. Ends when the height
    leaves 0.8 to 2 m or the lean exceeds 1 rad. The feet have the friction of the model before version 5.

    Reference: D4RL ``walker2d-*-v2``.

    Args:
        render_mode: ``rgb_array`` draws 256 by 256 pixels; None draws nothing.
        capsule_masses: ``d4rl``, or ``exact`` for data that was recorded with a later MuJoCo.

    Raises:
        ConfigError: an argument that names no render mode or masses.
    """

    def __init__(self, render_mode: str | None = None, capsule_masses: Literal["d4rl", "exact"] = "d4rl") -> None:
        super().__init__(render_mode, capsule_masses, xml_file="walker2d.xml")
