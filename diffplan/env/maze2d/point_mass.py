"""The physics of Maze2D: a ball with two motors between walls."""

import mujoco
import numpy as np
from jaxtyping import Float

from diffplan.env.maze2d.maze_layout import MazeLayout

_MAX_SPEED = 5.0
# The sphere alone carries the contact margin: MuJoCo up to 3.4 takes the larger margin of two geoms, later ones the
# sum, and D4RL's is 0.002 (test_contact_begins_two_millimetres_before_the_wall).
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

    A state is ``[x, y, vx, vy]`` in metres and metres per second. The model equals D4RL's under MuJoCo 2, of which
    later versions changed two things that alter every wall contact: how contact margins combine, and the inverse
    weight of a body that cannot move in all three directions. Both are undone here.
    """

    def __init__(self, layout: MazeLayout) -> None:
        walls = "\n    ".join(_WALL.format(x=x + 1.0, y=y + 1.0) for x, y in np.argwhere(layout.walls).tolist())
        self.model = mujoco.MjModel.from_xml_string(_XML.format(walls=walls))
        self.data = mujoco.MjData(self.model)
        ball = self.model.body("ball").id
        # MuJoCo 2 averages over three axes of which z has none; 3.0 and later over the axes there are.
        # mj_setConst would overwrite it.
        self.model.body_invweight0[ball, 0] = 2.0 / (3.0 * self.model.body_mass[ball])
        mujoco.mj_forward(self.model, self.data)

    def reset(self, state: Float[np.ndarray, "4"]) -> None:
        """Starts an episode at a state, with nothing left over from earlier steps."""
        mujoco.mj_resetData(self.model, self.data)
        self.set_state(state)

    def set_state(self, state: Float[np.ndarray, "4"]) -> None:
        """Moves the ball."""
        self.data.qpos[:] = state[:2]
        self.data.qvel[:] = state[2:]
        mujoco.mj_forward(self.model, self.data)

    def state(self) -> Float[np.ndarray, "4"]:
        """Copies the current state."""
        return np.concatenate([self.data.qpos, self.data.qvel])

    def step(self, action: Float[np.ndarray, "2"]) -> None:
        """Advances 0.01 s.

        Args:
            action: Motor commands; clipped to [-1, 1] as D4RL does.
        """
        data = self.data
        # D4RL's order: clip the speed, write the state, evaluate with the old command, then step with the new one.
        self._clip(data.qvel, _MAX_SPEED, out=data.qvel)
        mujoco.mj_forward(self.model, data)
        self._clip(action, 1.0, out=data.ctrl)
        mujoco.mj_step(self.model, data)

    @staticmethod
    def _clip(values: Float[np.ndarray, "2"], limit: float, out: Float[np.ndarray, "2"]) -> None:
        # Three times as fast as np.clip, which is half the cost of a step.
        np.minimum(values, limit, out=out)
        np.maximum(out, -limit, out=out)
