"""D4RL's recipe for its Maze2D data, with any seed and any number of rows."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64, Shaped

from diffplan.env.make_env import MAZE2D_EPISODE_STEPS
from diffplan.env.maze2d.maze_layout import MazeLayout
from diffplan.env.maze2d.point_mass import PointMass
from diffplan.env.maze2d.waypoint_controller import WaypointController
from diffplan.errors import ConfigError

# Part of every file's metadata. Increase it when a change makes the same seed give other rows.
_VERSION = 1
_SUCCESS_RADIUS = 0.5
_BLOCK = 4096


@dataclass(frozen=True)
class Maze2DRecipe:
    """One Maze2D data set made as D4RL made its own. The same recipe gives the same rows; a shorter set is a prefix.

    The ball is never reset. A waypoint controller with noise on its actions drives it to a random target. When the ball
    arrives, or after one episode length, the row is flagged and another target is drawn.

    Attributes:
        name: D4RL id, for instance ``maze2d-medium-dense-v1``; it decides the maze and the kind of reward.
        num_transitions: Number of rows.
        seed: Seed of targets, waypoints and action noise.
        noise: Standard deviation of the Gaussian noise on actions before clipping. D4RL uses 0.5.
        repeat_row_after_switch: Repeat the previous observation in the row after each new target, while
            ``infos/qpos`` has moved on. D4RL's script does so, and its published files have these rows.

    Raises:
        ConfigError: The name has no maze, or a number is out of range.

    Reference: Fu et al., "D4RL: Datasets for Deep Data-Driven Reinforcement Learning", section 5.1.
    """

    name: str
    num_transitions: int
    seed: int = 0
    noise: float = 0.5
    repeat_row_after_switch: bool = True

    def __post_init__(self) -> None:
        names = [f"maze2d-{maze}{infix}-v1" for maze in MAZE2D_EPISODE_STEPS for infix in ("", "-dense")]
        if self.name not in names:
            raise ConfigError(f"Only Maze2D can be regenerated ({', '.join(names)}); got {self.name!r}.")
        if self.num_transitions < 1 or self.seed < 0 or not 0.0 <= self.noise < np.inf:
            raise ConfigError(
                "A recipe needs num_transitions of at least 1, a seed and a noise of at least 0; got "
                f"num_transitions={self.num_transitions}, seed={self.seed}, noise={self.noise}."
            )

    @property
    def maze(self) -> str:
        """Name of the maze."""
        return self.name.split("-")[1]

    @property
    def reward(self) -> Literal["sparse", "dense"]:
        """Which reward the rows have."""
        return "dense" if "-dense-" in self.name else "sparse"

    @property
    def layout(self) -> MazeLayout:
        """The maze."""
        return MazeLayout.named(self.maze)

    @property
    def file_name(self) -> str:
        """File name that no other recipe has."""
        noise = "" if self.noise == 0.5 else f"-noise{self.noise:g}"
        rows = "" if self.repeat_row_after_switch else "-unrepeated"
        return f"{self.name}-{self.num_transitions}-seed{self.seed}{noise}{rows}.hdf5"

    def metadata(self) -> dict[str, str | int | float]:
        """Returns what the file says about itself. It does not depend on when or where the file is made."""
        return {
            "generator": "diffplan, by D4RL's Maze2D recipe; not D4RL's own data",
            "name": self.name,
            "recipe_version": _VERSION,
            "num_transitions": self.num_transitions,
            "seed": self.seed,
            "noise": self.noise,
            "repeat_row_after_switch": int(self.repeat_row_after_switch),
            "mujoco_version": version("mujoco"),
            "numpy_version": np.__version__,
        }

    def collect(self, on_rows: Callable[[int], None] | None = None) -> dict[str, Shaped[np.ndarray, "rows ..."]]:
        """Simulates all rows.

        Args:
            on_rows: Called after every block with its number of rows.

        Returns:
            The arrays of a D4RL file by key. Row ``i`` holds the reward of its own observation, as in D4RL's published
            files.
        """
        rows = self.num_transitions
        widths = {"observations": 4, "actions": 2, "states": 4, "infos/goal": 2}
        columns: dict[str, np.ndarray] = {key: np.empty((rows, width)) for key, width in widths.items()}
        columns["timeouts"] = np.zeros(rows, dtype=bool)
        walk = _Walk(self)
        for start in range(0, rows, _BLOCK):
            stop = min(start + _BLOCK, rows)
            walk.advance(columns, start, stop)
            if on_rows is not None:
                on_rows(stop - start)
        observations, states = (columns[key].astype(np.float32) for key in ("observations", "states"))
        return {
            "observations": observations,
            "actions": columns["actions"].astype(np.float32),
            "rewards": self._rewards(observations),
            "terminals": np.zeros(rows, dtype=bool),
            "timeouts": columns["timeouts"],
            "infos/goal": columns["infos/goal"].astype(np.float32),
            "infos/qpos": states[:, :2],
            "infos/qvel": states[:, 2:],
        }

    def _rewards(self, observations: Float32[np.ndarray, "rows 4"]) -> Float32[np.ndarray, " rows"]:
        target = np.array(self.layout.target_cell, dtype=np.float32)
        distances = np.linalg.norm(observations[:, :2] - target, axis=1)
        rewards = np.exp(-distances) if self.reward == "dense" else distances <= _SUCCESS_RADIUS
        return rewards.astype(np.float32)


class _Walk:
    """The simulation that never ends; a data set is its first rows."""

    def __init__(self, recipe: Maze2DRecipe) -> None:
        # Separate streams: a change in how one of them is drawn does not change the others.
        streams = np.random.SeedSequence(recipe.seed).spawn(3)
        self._targets, waypoints, self._action_noise = (np.random.default_rng(stream) for stream in streams)
        self._noise = recipe.noise
        self._repeats = recipe.repeat_row_after_switch
        self._max_steps = MAZE2D_EPISODE_STEPS[recipe.maze]
        self._cells = recipe.layout.free_cells
        self._point_mass = PointMass(recipe.layout)
        self._controller = WaypointController(recipe.layout, waypoints)
        self._target = self._random_position()
        speed = self._targets.standard_normal(2) * 0.1
        self._point_mass.reset(np.concatenate([self._random_position(), speed]))
        self._observation = self._point_mass.state()
        self._steps = 0

    def advance(self, columns: dict[str, Shaped[np.ndarray, "rows ..."]], start: int, stop: int) -> None:
        """Fills the rows from ``start`` to ``stop``."""
        noise = self._action_noise.standard_normal((stop - start, 2)) * self._noise
        for row in range(start, stop):
            command, arrived = self._controller.act(self._observation, self._target)
            action = np.minimum(np.maximum(command + noise[row - start], -1.0), 1.0)
            columns["observations"][row] = self._observation
            columns["actions"][row] = action
            columns["states"][row] = self._point_mass.state()
            columns["infos/goal"][row] = self._target
            self._point_mass.step(action)
            switch = arrived or self._steps >= self._max_steps
            self._steps += 1
            if switch:
                columns["timeouts"][row] = True
                self._target = self._random_position()
                self._steps = 0
            if not (switch and self._repeats):
                self._observation = self._point_mass.state()

    def _random_position(self) -> Float64[np.ndarray, "2"]:
        cell = np.array(self._cells[self._targets.integers(len(self._cells))], dtype=np.float64)
        return cell + self._targets.uniform(-0.1, 0.1, size=2)
