"""What every picture of plans in a maze is made of, on matplotlib's axes."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from diffplan.env.maze2d.maze_layout import MazeLayout

WALL, FLOOR, INK, GOAL = "#5c6370", "#f6f6f3", "#22262e", "#d64541"
# From blue to orange: early and late rows differ in lightness too, and neither end drowns in the floor.
TIME = LinearSegmentedColormap.from_list("time", ["#123a7c", "#3468c0", "#8a5fb8", "#d0587e", "#ef8a2b"])
_HIDDEN_WALL = 0.7


def visible_part(layout: MazeLayout) -> tuple[float, float, float, float]:
    """The maze without most of its outer wall, which is the same everywhere, as (x_min, x_max, y_min, y_max)."""
    x_min, x_max, y_min, y_max = layout.extent
    return (x_min + _HIDDEN_WALL, x_max - _HIDDEN_WALL, y_min + _HIDDEN_WALL, y_max - _HIDDEN_WALL)


def draw_maze(ax: Axes, layout: MazeLayout) -> None:
    """Draws a maze from above, x downwards and y to the right as in the videos.

    Args:
        ax: To draw on.
        layout: The maze.
    """
    walls = [Rectangle((y0, x0), y1 - y0, x1 - x0) for x0, y0, x1, y1 in layout.wall_rectangles()]
    # A thin edge of the same colour closes the hairlines between neighbouring cells.
    ax.add_collection(PatchCollection(walls, facecolor=WALL, edgecolor=WALL, linewidth=0.5))
    x_min, x_max, y_min, y_max = visible_part(layout)
    ax.set(xlim=(y_min, y_max), ylim=(x_max, x_min), aspect="equal", facecolor=FLOOR, xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)


def draw_path(ax: Axes, path: Float[np.ndarray, "row position"], linewidth: float = 3.4) -> LineCollection:
    """Draws a plan, coloured from its first row to its last.

    Args:
        ax: To draw on.
        path: Positions first, in metres; further columns are not looked at.
        linewidth: In points.
    """
    points = path[:, 1::-1].astype(np.float64)
    segments = list(np.stack([points[:-1], points[1:]], axis=1))
    lines = LineCollection(segments, cmap=TIME, linewidth=linewidth, capstyle="round", zorder=2)
    lines.set_array(np.linspace(0.0, 1.0, max(len(points) - 1, 1)))
    ax.add_collection(lines)
    return lines


def draw_start(ax: Axes, place: Float[np.ndarray, " position"]) -> None:
    """Marks where a plan begins.

    Args:
        ax: To draw on.
        place: Position first, in metres.
    """
    ax.plot(place[1], place[0], "o", markersize=6.5, markerfacecolor="white", markeredgecolor=INK, zorder=4)


def draw_goal(ax: Axes, place: Float[np.ndarray, " position"]) -> None:
    """Marks where a plan is to end.

    Args:
        ax: To draw on.
        place: Position first, in metres.
    """
    ax.plot(place[1], place[0], "*", markersize=12, markerfacecolor=GOAL, markeredgecolor="white", zorder=5)
