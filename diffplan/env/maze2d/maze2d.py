"""D4RL's Maze2D as a Gymnasium environment on current MuJoCo, and its pictures."""

from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces
from jaxtyping import Float, Float64, UInt8
from PIL import Image, ImageDraw

from diffplan.env.maze2d.maze_layout import MazeLayout
from diffplan.env.maze2d.point_mass import PointMass
from diffplan.errors import ActionError, ConfigError

_SUCCESS_RADIUS = 0.5
_POSITION_NOISE = 0.1
_SPEED_NOISE = 0.1
# Pictures: pixels of the longer side, and colours.
_LONG_SIDE = 256
_OVERSAMPLING = 2
_FLOOR, _WALL = (246, 246, 243), (92, 99, 112)
_TARGET, _TRAIL, _BALL = (214, 69, 65), (147, 190, 232), (31, 96, 180)
_BALL_RADIUS = 0.1


class Maze2D(gymnasium.Env):
    """A ball in a maze that is rewarded near a target. Episodes never terminate.

    An observation is ``[x, y, vx, vy]`` in metres and metres per second. An action is two motor commands in [-1, 1].
    One step takes 0.01 s. Dynamics, frame, reset, target and reward are D4RL's, see ``PointMass``.

    ``info`` holds ``target`` (x, y) and ``success``: whether the ball is within 0.5 m of the target.

    Args:
        maze: ``umaze``, ``medium``, ``large`` or ``open``.
        reward: ``sparse`` pays 1 within 0.5 m of the target, ``dense`` exp(-distance).
        render_mode: ``rgb_array`` draws the maze from above in software; None draws nothing.

    Raises:
        ConfigError: The maze, the reward or the render mode is unknown.

    Reference: Fu et al., "D4RL: Datasets for Deep Data-Driven Reinforcement Learning", section 5.1.
    """

    # One frame per step of 0.01 s.
    metadata = {"render_modes": ["rgb_array"], "render_fps": 100}  # noqa: RUF012 (Gymnasium's own form)

    def __init__(
        self, maze: str = "umaze", reward: Literal["sparse", "dense"] = "sparse", render_mode: str | None = None
    ) -> None:
        if reward not in ("sparse", "dense"):
            raise ConfigError(f"The reward of Maze2D must be 'sparse' or 'dense', got {reward!r}.")
        if render_mode not in (None, "rgb_array"):
            raise ConfigError(f"The render mode of Maze2D must be 'rgb_array' or None, got {render_mode!r}.")
        self.layout = MazeLayout.named(maze)
        self.reward = reward
        self.render_mode = render_mode
        self.observation_space = spaces.Box(-np.inf, np.inf, shape=(4,), dtype=np.float64)
        self.action_space = spaces.Box(-1.0, 1.0, shape=(2,), dtype=np.float32)
        self.target = np.array(self.layout.target_cell, dtype=np.float64)
        self._point_mass = PointMass(self.layout)
        self._picture = MazePicture(self.layout) if render_mode == "rgb_array" else None
        self._trail: list[Float64[np.ndarray, "2"]] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float64[np.ndarray, "4"], dict[str, Any]]:
        """Starts an episode in a random free cell.

        Args:
            seed: Seed of the environment's generator; None continues with the present one.
            options: ``target``: None for D4RL's evaluation target, ``"random"`` for a random free cell with noise (the
                Multi2D protocol), or (x, y) in metres. ``start``: a state ``[x, y, vx, vy]`` instead of a random one.

        Returns:
            The first observation and ``info``.

        Raises:
            ConfigError: An option does not exist or its value does not fit.
        """
        super().reset(seed=seed)
        options = options or {}
        unknown = sorted(set(options) - {"target", "start"})
        if unknown:
            raise ConfigError(f"Maze2D's reset takes the options 'target' and 'start'; got {', '.join(unknown)}.")
        start = options.get("start")
        if start is None:
            position = self._random_position()
            start = np.concatenate([position, self.np_random.standard_normal(2) * _SPEED_NOISE])
        self._point_mass.reset(_vector(start, 4, "start"))
        # The target is drawn after the start, as in D4RL.
        self.target = self._chosen_target(options.get("target"))
        observation = self._point_mass.state()
        self._trail = [observation[:2]]
        return observation, self._info(self._distance(observation))

    def step(
        self, action: Float[np.ndarray, "2"]
    ) -> tuple[Float64[np.ndarray, "4"], float, bool, bool, dict[str, Any]]:
        """Applies an action for 0.01 s. The reward is that of the next state.

        Args:
            action: Motor commands, clipped to [-1, 1].

        Raises:
            ActionError: The action is not finite.
        """
        if not (np.isfinite(action[0]) and np.isfinite(action[1])):
            raise ActionError(f"An action must be finite, got {np.asarray(action).tolist()}.")
        self._point_mass.step(action)
        observation = self._point_mass.state()
        if self._picture is not None:
            self._trail.append(observation[:2])
        distance = self._distance(observation)
        reward = float(distance <= _SUCCESS_RADIUS) if self.reward == "sparse" else float(np.exp(-distance))
        return observation, reward, False, False, self._info(distance)

    def render(self) -> UInt8[np.ndarray, "height width 3"] | None:
        """Draws the maze, the target, the ball, and the way of the ball since the reset."""
        if self._picture is None:
            return None
        trail = np.array(self._trail) if self._trail else None
        return self._picture.draw(self._point_mass.state()[:2], self.target, trail)

    def state(self) -> Float64[np.ndarray, "4"]:
        """Returns the observation of the present state."""
        return self._point_mass.state()

    def set_state(self, qpos: Float[np.ndarray, "2"], qvel: Float[np.ndarray, "2"]) -> None:
        """Moves the ball within the running episode.

        Args:
            qpos: Position (x, y) in metres.
            qvel: Velocity in metres per second.
        """
        self._point_mass.set_state(np.concatenate([qpos, qvel]))

    def _random_position(self) -> Float64[np.ndarray, "2"]:
        cells = self.layout.free_cells
        cell = np.array(cells[self.np_random.integers(len(cells))], dtype=np.float64)
        return cell + self.np_random.uniform(-_POSITION_NOISE, _POSITION_NOISE, size=2)

    def _chosen_target(self, target: Any) -> Float64[np.ndarray, "2"]:
        if target is None:
            return np.array(self.layout.target_cell, dtype=np.float64)
        if isinstance(target, str):
            if target != "random":
                raise ConfigError(f"The option 'target' must be 'random', (x, y) or None; got {target!r}.")
            return self._random_position()
        return _vector(target, 2, "target")

    def _distance(self, observation: Float64[np.ndarray, "4"]) -> float:
        return float(np.hypot(observation[0] - self.target[0], observation[1] - self.target[1]))

    def _info(self, distance: float) -> dict[str, Any]:
        return {"target": self.target.copy(), "success": distance <= _SUCCESS_RADIUS}


class MazePicture:
    """Draws one maze from above: x points down and y to the right, as in the text of the maze.

    Pillow draws, so no display and no OpenGL is needed. Both sides of a picture are multiples of 16, because video
    encoders require it.
    """

    def __init__(self, layout: MazeLayout) -> None:
        rows, columns = layout.walls.shape
        scale = _LONG_SIDE / max(rows, columns)
        self.height, self.width = (16 * int(np.ceil(side * scale / 16)) for side in (rows, columns))
        self._scale = scale * _OVERSAMPLING
        x_min, x_max, y_min, y_max = layout.extent
        # The maze is in the middle of the canvas.
        self._x_centre, self._y_centre = (x_min + x_max) / 2, (y_min + y_max) / 2
        self._floor = Image.new("RGB", (self.width * _OVERSAMPLING, self.height * _OVERSAMPLING), _WALL)
        draw = ImageDraw.Draw(self._floor)
        draw.rectangle((*self._pixel(x_min, y_min), *self._pixel(x_max, y_max)), fill=_FLOOR)
        for x0, y0, x1, y1 in layout.wall_rectangles():
            draw.rectangle((*self._pixel(x0, y0), *self._pixel(x1, y1)), fill=_WALL)

    def draw(
        self,
        position: Float[np.ndarray, "2"],
        target: Float[np.ndarray, "2"] | None = None,
        trail: Float[np.ndarray, "point 2"] | None = None,
    ) -> UInt8[np.ndarray, "height width 3"]:
        """Draws one frame.

        Args:
            position: Centre of the ball in metres.
            target: Centre of the target disc, which is drawn with its success radius of 0.5 m. None draws no target.
            trail: Earlier positions of the ball in metres, the oldest first.

        Returns:
            An RGB picture.
        """
        image = self._floor.copy()
        draw = ImageDraw.Draw(image)
        if target is not None:
            self._circle(draw, target, _SUCCESS_RADIUS, outline=_TARGET, width=2 * _OVERSAMPLING)
            self._circle(draw, target, _BALL_RADIUS, fill=_TARGET)
        if trail is not None and len(trail) > 1:
            draw.line([self._pixel(float(x), float(y)) for x, y in trail], fill=_TRAIL, width=2 * _OVERSAMPLING)
        self._circle(draw, position, _BALL_RADIUS, fill=_BALL)
        return np.asarray(image.reduce(_OVERSAMPLING))

    def _pixel(self, x: float, y: float) -> tuple[float, float]:
        """Returns column and row of a position on the oversampled canvas."""
        column = (y - self._y_centre) * self._scale + self._floor.width / 2
        row = (x - self._x_centre) * self._scale + self._floor.height / 2
        return column, row

    def _circle(
        self,
        draw: ImageDraw.ImageDraw,
        centre: Float[np.ndarray, "2"],
        radius: float,
        fill: tuple[int, int, int] | None = None,
        outline: tuple[int, int, int] | None = None,
        width: int = 1,
    ) -> None:
        column, row = self._pixel(float(centre[0]), float(centre[1]))
        reach = radius * self._scale
        box = (column - reach, row - reach, column + reach, row + reach)
        draw.ellipse(box, fill=fill, outline=outline, width=width)


def _vector(values: Any, length: int, name: str) -> Float64[np.ndarray, " length"]:
    vector = np.array(values, dtype=np.float64)
    if vector.shape != (length,) or not np.isfinite(vector).all():
        raise ConfigError(f"The option '{name}' must hold {length} finite numbers, got {values!r}.")
    return vector
