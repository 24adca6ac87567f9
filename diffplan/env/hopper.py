from typing import Literal

from gymnasium.envs.mujoco.hopper_v5 import HopperEnv

from diffplan.env.locomotion import Locomotion


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
