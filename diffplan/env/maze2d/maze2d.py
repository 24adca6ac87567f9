"""D4RL's Maze2D as a Gymnasium environment on current MuJoCo."""

from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces
from jaxtyping import Float, Float64, UInt8

from diffplan.env.maze2d.maze_layout import MazeLayout
from diffplan.env.maze2d.maze_picture import MazePicture
from diffplan.env.maze2d.point_mass import PointMass
from diffplan.errors import ActionError, ConfigError

_SUCCESS_RADIUS = 0.5
_POSITION_NOISE = 0.1
_SPEED_NOISE = 0.1


class Maze2D(gymnasium.Env):
    """A ball in a maze, rewarded near a target; it never terminates.

    An observation is ``[x, y, vx, vy]`` in metres and metres per second, an action two motor commands in [-1, 1]. One
    step is 0.01 s. Dynamics, frame, reset, target and reward are D4RL's; see ``PointMass`` for what that takes.

    ``info`` holds ``target`` (x, y) and ``success``, whether the ball is now within 0.5 m of it.

    Args:
        maze: ``umaze``, ``medium``, ``large`` or ``open``.
        reward: ``sparse`` pays 1 within 0.5 m of the target, ``dense`` exp(-distance).
        render_mode: ``rgb_array`` draws the maze from above in software; None draws nothing.

    Raises:
        ConfigError: an argument that names no maze, reward or render mode.

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
            seed: Seeds this environment's generator; None goes on with the present one.
            options: ``target``: None for D4RL's evaluation target, ``"random"`` for a random free cell with noise (the
                Multi2D protocol), or (x, y) in metres. ``start``: a state ``[x, y, vx, vy]`` instead of a random one.

        Returns:
            The first observation and ``info``.

        Raises:
            ConfigError: an option that does not exist or does not fit.
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
        """Applies an action for 0.01 s and pays for the state it leads to.

        Args:
            action: Motor commands, clipped to [-1, 1].

        Raises:
            ActionError: the action is not finite.
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
        """Draws the maze, the target, where the ball is and where it has been since the reset."""
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


def _vector(values: Any, length: int, name: str) -> Float64[np.ndarray, " length"]:
    vector = np.array(values, dtype=np.float64)
    if vector.shape != (length,) or not np.isfinite(vector).all():
        raise ConfigError(f"The option '{name}' must hold {length} finite numbers, got {values!r}.")
    return vector
