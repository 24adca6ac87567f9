from typing import Literal

from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv

from diffplan.env.locomotion import Locomotion


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
