"""The four mazes of D4RL as grids, and their geometry in the coordinates of an observation."""

from collections import deque
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from diffplan.errors import ConfigError

# '#' wall, '.' free, 'G' free and the evaluation target. x counts rows downwards, y columns to the right.
_MAPS = {
    "umaze": ("#####", "#G..#", "###.#", "#...#", "#####"),
    "medium": ("########", "#..##..#", "#..#...#", "##...###", "#..#...#", "#.#..#.#", "#...#.G#", "########"),
    "large": (
        "############",
        "#....#.....#",
        "#.##.#.#.#.#",
        "#......#...#",
        "#.####.###.#",
        "#..#.#.....#",
        "##.#.#.#.###",
        "#..#...#.G.#",
        "############",
    ),
    "open": ("#######", "#.....#", "#..G..#", "#.....#", "#######"),
}
# The body rests at 1.2 in world coordinates while the wall of cell (i, j) is centred at (i + 1, j + 1).
CENTRE_OFFSET = -0.2
_HALF_CELL = 0.5
_BODY_RADIUS = 0.1
# D4RL's planner breaks ties between equally short paths in this order.
_MOVES = ((0, -1), (0, 1), (-1, 0), (1, 0))


@dataclass(frozen=True, eq=False)
class MazeLayout:
    """One maze: its walls, its target, and the positions where the body fits.

    Positions are those of an observation: x along rows and y along columns, in metres. Cell ``(i, j)`` is *named* after
    the position ``(i, j)``, but its true centre is ``(i - 0.2, j - 0.2)``. In a corridor of one cell the centre of the
    body can be anywhere in ``[i - 0.6, i + 0.2]``.

    Attributes:
        name: ``umaze``, ``medium``, ``large`` or ``open``.
        walls: True for cells that are walls.
        target_cell: Cell of D4RL's evaluation target, whose position has exactly these coordinates.
    """

    name: str
    walls: Bool[np.ndarray, "rows columns"]
    target_cell: tuple[int, int]

    @classmethod
    def named(cls, name: str) -> "MazeLayout":
        """Builds one of D4RL's mazes.

        Args:
            name: ``umaze``, ``medium``, ``large`` or ``open``.

        Raises:
            ConfigError: No maze has this name.
        """
        if name not in _MAPS:
            raise ConfigError(f"A maze must be one of {', '.join(sorted(_MAPS))}; got {name!r}.")
        cells = np.array([list(row) for row in _MAPS[name]])
        walls = cells == "#"
        walls.setflags(write=False)
        row, column = np.argwhere(cells == "G")[0].tolist()
        return cls(name=name, walls=walls, target_cell=(row, column))

    @property
    def free_cells(self) -> list[tuple[int, int]]:
        """Cells without a wall in the order of D4RL's random choice: row by row, the target cell last."""
        cells = [(int(row), int(column)) for row, column in np.argwhere(~self.walls)]
        cells.remove(self.target_cell)
        return [*cells, self.target_cell]

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Outer edges of the maze as (x_min, x_max, y_min, y_max) in metres."""
        low = CENTRE_OFFSET - _HALF_CELL
        rows, columns = self.walls.shape
        return (low, low + rows, low, low + columns)

    def wall_rectangles(self) -> list[tuple[float, float, float, float]]:
        """Returns every wall cell as a box (x0, y0, x1, y1) in metres."""
        low, high = CENTRE_OFFSET - _HALF_CELL, CENTRE_OFFSET + _HALF_CELL
        return [
            (row + low, column + low, row + high, column + high) for row, column in np.argwhere(self.walls).tolist()
        ]

    def is_free(
        self, positions: Float[np.ndarray, "*batch 2"], radius: float = _BODY_RADIUS
    ) -> Bool[np.ndarray, "*batch"]:
        """Says at which positions a round body touches no wall.

        Args:
            positions: Centres of the body in metres.
            radius: Radius of the body in metres. Contacts are soft: at full speed the body sinks in by up to 0.05 m.

        Returns:
            True if the body fits; False inside a wall, closer to a wall than ``radius``, and outside the maze.
        """
        x, y = positions[..., 0], positions[..., 1]
        x_min, x_max, y_min, y_max = self.extent
        free = (x > x_min) & (x < x_max) & (y > y_min) & (y < y_max)
        for x0, y0, x1, y1 in self.wall_rectangles():
            dx = np.maximum(np.maximum(x0 - x, x - x1), 0.0)
            dy = np.maximum(np.maximum(y0 - y, y - y1), 0.0)
            # The tolerance keeps a body free that touches a wall exactly, in spite of rounding.
            free &= np.hypot(dx, dy) >= radius - 1e-9
        return np.asarray(free)

    def steps_to(self, cell: tuple[int, int]) -> Int[np.ndarray, "rows columns"]:
        """Counts the moves from every cell to one cell.

        Args:
            cell: Cell to go to, without a wall.

        Returns:
            Number of moves along free cells (up, down, left, right); -1 for walls and cells without a path.
        """
        steps = np.full(self.walls.shape, -1, dtype=np.int64)
        steps[cell] = 0
        queue = deque([cell])
        while queue:
            row, column = queue.popleft()
            for neighbour in self.neighbours((row, column)):
                if steps[neighbour] < 0:
                    steps[neighbour] = steps[row, column] + 1
                    queue.append(neighbour)
        return steps

    def neighbours(self, cell: tuple[int, int]) -> list[tuple[int, int]]:
        """Returns the free cells beside a cell or wall, in the order in which D4RL breaks ties."""
        rows, columns = self.walls.shape
        beside = [(cell[0] + dx, cell[1] + dy) for dx, dy in _MOVES]
        return [(x, y) for x, y in beside if 0 <= x < rows and 0 <= y < columns and not self.walls[x, y]]
