import copy
import os

import mujoco
import numpy as np
from jaxtyping import Float, Float64, UInt8

from diffplan.env.make_env import make_env
from diffplan.errors import RenderingError

_SIDE = 256
_FLAGS_OFF = (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION)
_BODY = 1


class StatePicture:
    """Draws states of a MuJoCo model, seen from the side by a camera that goes along with the body but not up and down.

    It has a model and physics of its own, so no drawing disturbs a running episode. Shadows and reflections are off: on
    a machine without a GPU they cost three quarters of the time.

    Args:
        model: The compiled model, whose first body is the one to look at.
        distance: Of the camera from the body, in metres.
        height: Above the ground of the point it looks at, in metres.

    Raises:
        RenderingError: this machine cannot make pictures; the message says what would help.
    """

    def __init__(self, model: mujoco.MjModel, distance: float, height: float) -> None:
        self._model = copy.copy(model)
        # MuJoCo draws a plane of size 0 without end, and repeats its squares every metre; the files' own planes end
        # before a good runner's episode does.
        plane = self._model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE
        self._model.geom_size[plane] = [0.0, 0.0, 1.0]
        self._model.mat_texrepeat[self._model.geom_matid[plane]] = 1.0
        self._data = mujoco.MjData(self._model)
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FREE
        self._camera.distance = distance
        self._camera.azimuth, self._camera.elevation = 90.0, -10.0
        self._height = height
        self._renderer = _renderer(self._model)
        for flag in _FLAGS_OFF:
            self._renderer.scene.flags[flag] = 0

    def draw(self, qpos: Float64[np.ndarray, " position"]) -> UInt8[np.ndarray, "height width 3"]:
        """Draws the model in these positions."""
        self._data.qpos = qpos
        # Where everything is, and no forces: imagined states may be far from any that physics allows.
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        self._camera.lookat = [*self._data.xpos[_BODY, :2], self._height]
        # MuJoCo centres an endless plane on where the camera was at the last update, so the second one is right.
        for _ in range(2):
            self._renderer.update_scene(self._data, self._camera)
        return self._renderer.render()

    def close(self) -> None:
        """Gives the drawing context back."""
        self._renderer.close()


def _renderer(model: mujoco.MjModel) -> mujoco.Renderer:
    try:
        return mujoco.Renderer(model, _SIDE, _SIDE)
    except Exception as error:
        # What MuJoCo and its OpenGL loaders raise here has no common class: ImportError, AttributeError, RuntimeError.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RenderingError(
            f"This machine cannot draw MuJoCo scenes with MUJOCO_GL={os.environ.get('MUJOCO_GL', 'unset')} ({reason}); "
            "install EGL (Debian: libegl1 libgl1-mesa-dri), or set MUJOCO_GL to what works before MuJoCo is imported."
        ) from error


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
