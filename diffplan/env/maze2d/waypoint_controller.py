"""D4RL's controller for Maze2D: shortest path over cells, then a proportional-derivative law along it."""

from math import hypot

import numpy as np
from jaxtyping import Float, Float64

from diffplan.env.maze2d.maze_layout import CENTRE_OFFSET, MazeLayout
from diffplan.errors import ConfigError

_WAYPOINT_NOISE = 0.2
_SOLVED_DISTANCE = 0.1
_SOLVED_SPEED = 0.1


class WaypointController:
    """Drives the ball to a target. This controller made D4RL's data and is the reference for a good score.

    It makes a new plan when the *cell* of the target changes, or after ``reset``. D4RL's script never resets it between
    episodes. For that reason D4RL's reference returns (score 100) are far below what this controller reaches.

    Args:
        layout: The maze.
        generator: Source of the noise on waypoints.
        proportional_gain: Motor command per metre of distance to the waypoint.
        derivative_gain: Motor command per metre per second.
    """

    def __init__(
        self,
        layout: MazeLayout,
        generator: np.random.Generator,
        proportional_gain: float = 10.0,
        derivative_gain: float = -1.0,
    ) -> None:
        self._layout = layout
        self._generator = generator
        self._proportional_gain = proportional_gain
        self._derivative_gain = derivative_gain
        self.reset()

    def reset(self) -> None:
        """Forgets the plan. The next call of ``act`` makes a new one."""
        self._target_cell: tuple[int, int] | None = None
        self._waypoints: list[tuple[float, float]] = []
        self._next = 0
        self._previous = (0.0, 0.0)

    @property
    def waypoints(self) -> Float64[np.ndarray, "waypoint 2"]:
        """The present plan in metres; the target's cell is last. Empty before the first action."""
        return np.array(self._waypoints, dtype=np.float64).reshape(-1, 2)

    def act(
        self, observation: Float[np.ndarray, "4"], target: Float[np.ndarray, "2"]
    ) -> tuple[Float64[np.ndarray, "2"], bool]:
        """Chooses the next action.

        Args:
            observation: State ``[x, y, vx, vy]`` in metres and metres per second.
            target: Target in metres. The controller goes to the nearest integer coordinates.

        Returns:
            Motor commands in [-1, 1], and whether the target is reached: the ball is within 0.1 m and has moved less
            than 0.1 m since the last call.

        Raises:
            ConfigError: The target lies in a wall.
        """
        x, y, x_speed, y_speed = observation.tolist()
        target_cell = _cell(*target.tolist())
        if target_cell != self._target_cell:
            self._plan(x, y, target_cell)
        moved = hypot(self._previous[0] - x, self._previous[1] - y)
        solved = hypot(x - target_cell[0], y - target_cell[1]) < _SOLVED_DISTANCE and moved < _SOLVED_SPEED
        goal_x, goal_y = target_cell if solved else self._waypoints[self._next]
        action = np.array(
            [
                self._command(goal_x - x, x_speed),
                self._command(goal_y - y, y_speed),
            ]
        )
        if not solved and hypot(x - goal_x, y - goal_y) < _SOLVED_DISTANCE and moved < _SOLVED_SPEED:
            self._next += 1
        self._previous = (x, y)
        return action, solved

    def _command(self, distance: float, speed: float) -> float:
        command = self._proportional_gain * distance + self._derivative_gain * speed
        return min(max(command, -1.0), 1.0)

    def _plan(self, x: float, y: float, target: tuple[int, int]) -> None:
        rows, columns = self._layout.walls.shape
        if not (0 <= target[0] < rows and 0 <= target[1] < columns) or self._layout.walls[target]:
            raise ConfigError(f"A target must lie nearest to a free cell of the maze; got the wall cell {target}.")
        start = cell = _cell(x, y)
        # The position of a ball pressed against a wall may round to the wall's cell. A path starts there as in any
        # other cell. In a corner that cell touches only walls, so the path starts in the true cell (D4RL would stay).
        if not self._layout.neighbours(cell):
            cell = _cell(x - CENTRE_OFFSET, y - CENTRE_OFFSET)
        steps = self._layout.steps_to(target)
        waypoints = []
        while cell != target:
            cell = min(self._layout.neighbours(cell), key=lambda neighbour: int(steps[neighbour]))
            # The noise points to smaller coordinates, towards the true centre of the cell.
            noise = self._generator.uniform(0.0, _WAYPOINT_NOISE, size=2).tolist() if cell != target else (0.0, 0.0)
            waypoints.append((cell[0] - noise[0], cell[1] - noise[1]))
        self._waypoints = waypoints or [(float(target[0]), float(target[1]))]
        self._target_cell, self._next, self._previous = target, 0, (float(start[0]), float(start[1]))


def _cell(x: float, y: float) -> tuple[int, int]:
    return round(x), round(y)
