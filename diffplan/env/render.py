"""Pictures of MuJoCo states, and films of running episodes."""

import copy
import logging
import math
import os
from collections.abc import Sequence

import gymnasium
import mujoco
import numpy as np
from jaxtyping import Float, Float64, UInt8

from diffplan.env.make_env import make_env
from diffplan.errors import RenderingError

logger = logging.getLogger(__name__)

_MAX_FRAMES = 150
_SIDE = 256
_FLAGS_OFF = (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION)
_BODY = 1


class StatePicture:
    """Draws states of a MuJoCo model from the side. The camera moves along the track with the body, but not up or down.

    It has its own copy of the model and its own physics, so drawing does not change a running episode. Shadows and
    reflections are off: on a machine without a GPU they take three quarters of the time.

    Args:
        model: The compiled model. The camera follows its first body.
        distance: Distance of the camera from the body, in metres.
        height: Height above the ground of the point that the camera looks at, in metres.

    Raises:
        RenderingError: This machine cannot draw. The message says what helps.
    """

    def __init__(self, model: mujoco.MjModel, distance: float, height: float) -> None:
        self._model = copy.copy(model)
        # MuJoCo draws a plane of size 0 without an end and repeats its squares every metre. The planes in the files are
        # shorter than the way of a good runner.
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
        """Draws the model at these positions."""
        self._data.qpos = qpos
        # Only positions and no forces: imagined states may be far from all states that physics allows.
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        self._camera.lookat = [*self._data.xpos[_BODY, :2], self._height]
        # MuJoCo centres an endless plane on the camera position of the last update, so the second update is right.
        for _ in range(2):
            self._renderer.update_scene(self._data, self._camera)
        return self._renderer.render()

    def close(self) -> None:
        """Releases the drawing context."""
        self._renderer.close()


def _renderer(model: mujoco.MjModel) -> mujoco.Renderer:
    try:
        return mujoco.Renderer(model, _SIDE, _SIDE)
    except Exception as error:
        # MuJoCo and its OpenGL loaders raise errors without a common class: ImportError, AttributeError, RuntimeError.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RenderingError(
            f"This machine cannot draw MuJoCo scenes with MUJOCO_GL={os.environ.get('MUJOCO_GL', 'unset')} ({reason}); "
            "install EGL (Debian: libegl1 libgl1-mesa-dri), or set MUJOCO_GL to a back end that works."
        ) from error


class StateRenderer:
    """Draws the states that observations describe, in an environment of its own.

    Args:
        env_id: An environment with ``render_observation``.
    """

    def __init__(self, env_id: str) -> None:
        self._env = make_env(env_id)

    def picture(self, observation: Float[np.ndarray, " observation"], place: float) -> UInt8[np.ndarray, "h w 3"]:
        """Draws one state.

        Args:
            observation: Raw observation.
            place: Position of the body along the track in metres, which observations do not contain.

        Raises:
            RenderingError: This machine cannot draw.
        """
        return self._env.unwrapped.render_observation(observation, root_x=place)

    def places(self, observations: Float[np.ndarray, "row observation"]) -> Float64[np.ndarray, " row"]:
        """Computes how far the body has moved along the track since the first row, in metres.

        Args:
            observations: Raw observations of consecutive steps; NaN after the end of an episode.
        """
        # An observation begins with the positions, and the velocity along the track is the first velocity.
        column = self._env.unwrapped.observation_structure["qpos"]
        velocities = observations[:, column].astype(np.float64)
        # Trapezoidal rule.
        metres = (velocities[1:] + velocities[:-1]) / 2 * self._env.unwrapped.dt
        return np.concatenate([[0.0], np.cumsum(metres)])

    def close(self) -> None:
        """Releases the renderer."""
        self._env.close()


class Film:
    """Takes pictures of running episodes: about 150 per episode at most, and more per step if all episodes are short.

    The film begins with twice the rate that the longest possible episode may have. When an episode has too many
    pictures, every second one is dropped. If this machine cannot draw (no OpenGL), nothing is filmed and one warning
    says why.

    Args:
        envs: All environments, after their resets.
        render: Indices of the environments to film.
        limit: Maximum number of steps of an episode.
    """

    def __init__(self, envs: Sequence[gymnasium.Env], render: Sequence[int], limit: int) -> None:
        self.interval = math.ceil(math.ceil(limit / _MAX_FRAMES) / 2)
        self._envs = envs
        self._ended: set[int] = set()
        self._pictures: dict[int, list[tuple[int, UInt8[np.ndarray, "height width 3"]]]] = {}
        try:
            self._pictures = {index: [(0, envs[index].render())] for index in render}
        except (RenderingError, gymnasium.error.Error, NotImplementedError) as error:
            reason = str(error) or "the environment draws nothing."
            logger.warning("Episodes are played without pictures: %s", reason)

    @property
    def filmed(self) -> list[int]:
        """Indices of the environments that are filmed."""
        return list(self._pictures)

    def take(self, index: int, step: int, *, ended: bool) -> None:
        """Takes a picture of one environment if one is due. The last state of an episode is always due.

        Args:
            index: The environment.
            step: Number of steps of its episode so far.
            ended: Whether this was the last step.
        """
        if index in self._pictures and (step % self.interval == 0 or ended):
            self._pictures[index].append((step, self._envs[index].render()))
            if ended:
                self._ended.add(index)
            if len(self._pictures[index]) > _MAX_FRAMES + 1:
                self._thin()

    def frames(self) -> dict[int, UInt8[np.ndarray, "frame height width 3"]]:
        """Returns the pictures of each filmed episode. The interval before the last picture may be shorter."""
        return {index: np.stack([picture for _, picture in taken]) for index, taken in self._pictures.items()}

    def _thin(self) -> None:
        """Halves the rate of all episodes, so that they can be shown side by side."""
        self.interval *= 2
        for index, taken in self._pictures.items():
            last = taken[-1][0] if index in self._ended else 0
            self._pictures[index] = [pair for pair in taken if pair[0] % self.interval == 0 or pair[0] == last]
