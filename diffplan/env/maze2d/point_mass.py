"""The physics of Maze2D: a ball with two motors between walls."""

import mujoco
import numpy as np
from jaxtyping import Float

from diffplan.env.maze2d.maze_layout import MazeLayout

_MAX_SPEED = 5.0
# Only the sphere has a contact margin: MuJoCo up to 3.4 uses the larger margin of two geoms, later ones use the sum.
# Both must be D4RL's 0.002 (test_contact_begins_two_millimetres_before_the_wall).
_XML = """
<mujoco model="maze2d">
  <compiler inertiafromgeom="true" angle="radian"/>
  <option timestep="0.01" gravity="0 0 0" iterations="20" integrator="Euler"/>
  <worldbody>
    <body name="ball" pos="1.2 1.2 0">
      <joint name="x" type="slide" axis="1 0 0" damping="1"/>
      <joint name="y" type="slide" axis="0 1 0" damping="1"/>
      <geom name="ball" type="sphere" size="0.1" density="1000" margin="0.002" condim="1"
            friction="0.5 0.1 0.1"/>
    </body>
    {walls}
  </worldbody>
  <actuator>
    <motor joint="x" gear="100" ctrlrange="-1 1" ctrllimited="true"/>
    <motor joint="y" gear="100" ctrlrange="-1 1" ctrllimited="true"/>
  </actuator>
</mujoco>
"""
_WALL = '<geom type="box" pos="{x} {y} 0" size="0.5 0.5 0.2" condim="1" friction="0.5 0.1 0.1"/>'


class PointMass:
    """D4RL's point mass in a maze, one MuJoCo step at a time.

    A state is ``[x, y, vx, vy]`` in metres and metres per second. The model behaves as D4RL's under MuJoCo 2. Later
    releases changed two things that affect every contact with a wall: how contact margins combine, and the inverse
    weight of a body that cannot move in all three directions. This class undoes both changes.
    """

    def __init__(self, layout: MazeLayout) -> None:
        walls = "\n    ".join(_WALL.format(x=x + 1.0, y=y + 1.0) for x, y in np.argwhere(layout.walls).tolist())
        self.model = mujoco.MjModel.from_xml_string(_XML.format(walls=walls))
        self.data = mujoco.MjData(self.model)
        ball = self.model.body("ball").id
        # MuJoCo 2 averages over three axes although the ball cannot move along z; 3.0 and later skip it. A call
        # of mj_setConst would overwrite this value.
        self.model.body_invweight0[ball, 0] = 2.0 / (3.0 * self.model.body_mass[ball])
        mujoco.mj_forward(self.model, self.data)

    def reset(self, state: Float[np.ndarray, "4"]) -> None:
        """Starts an episode at a state. Nothing remains of earlier steps."""
        mujoco.mj_resetData(self.model, self.data)
        self.set_state(state)

    def set_state(self, state: Float[np.ndarray, "4"]) -> None:
        """Moves the ball to a state."""
        self.data.qpos[:] = state[:2]
        self.data.qvel[:] = state[2:]
        mujoco.mj_forward(self.model, self.data)

    def state(self) -> Float[np.ndarray, "4"]:
        """Returns a copy of the current state."""
        return np.concatenate([self.data.qpos, self.data.qvel])

    def step(self, action: Float[np.ndarray, "2"]) -> None:
        """Advances 0.01 s.

        Args:
            action: Motor commands, clipped to [-1, 1] as in D4RL.
        """
        data = self.data
        # The order is D4RL's: clip the speed, write the state, evaluate with the old command, step with the new one.
        self._clip(data.qvel, _MAX_SPEED, out=data.qvel)
        mujoco.mj_forward(self.model, data)
        self._clip(action, 1.0, out=data.ctrl)
        mujoco.mj_step(self.model, data)

    @staticmethod
    def _clip(values: Float[np.ndarray, "2"], limit: float, out: Float[np.ndarray, "2"]) -> None:
        # Three times as fast as np.clip, which would take half the time of a step.
        np.minimum(values, limit, out=out)
        np.maximum(out, -limit, out=out)
