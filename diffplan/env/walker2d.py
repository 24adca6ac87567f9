from typing import Literal

from gymnasium.envs.mujoco.walker2d_v5 import Walker2dEnv

from diffplan.env.locomotion import Locomotion


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
