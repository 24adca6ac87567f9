"""Plans against the maze: what was imagined, what was done, one small picture per episode."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from diffplan.atomic_write import write_atomically
from diffplan.env.maze_layout import MazeLayout
from diffplan.env.rollout import Rollout
from diffplan.errors import ConfigError

_WALL, _FLOOR, _INK, _GOAL = "#5c6370", "#f6f6f3", "#22262e", "#d64541"
# From blue to orange: early and late rows differ in lightness too, and neither end drowns in the floor.
_TIME = LinearSegmentedColormap.from_list("time", ["#123a7c", "#3468c0", "#8a5fb8", "#d0587e", "#ef8a2b"])
_PANEL_INCHES = 2.3
_COLUMNS = 4
_HIDDEN_WALL = 0.7


def draw_plans(
    layout: MazeLayout,
    rollout: Rollout,
    path: Path,
    scores: Sequence[float] | Float[np.ndarray, " env"] | None = None,
    max_plans: int = 12,
) -> None:
    """Draws the first episodes of a rollout side by side and writes a PNG file.

    Every panel shows the maze from above (x downwards, y to the right, as in the videos), the plan coloured from its
    first row to its last, the executed path as a thin line, start and goal, and above it the seed and the score.

    Args:
        layout: The maze.
        rollout: What was planned and done; without plans only the executed paths are drawn.
        path: PNG file to write, in one piece.
        scores: Normalised score per episode; None writes the return instead.
        max_plans: Most panels to draw, at least 1.

    Raises:
        ConfigError: fewer than one panel was asked for, or scores and episodes differ in number.
    """
    if max_plans < 1:
        raise ConfigError(f"max_plans must be at least 1, got {max_plans}.")
    if scores is not None and len(scores) != len(rollout.seeds):
        raise ConfigError(f"There must be one score per episode ({len(rollout.seeds)}), got {len(scores)}.")
    count = min(max_plans, len(rollout.seeds))
    columns = min(count, _COLUMNS)
    rows = -(-count // columns)
    x_min, x_max, y_min, y_max = _visible(layout)
    width = _PANEL_INCHES * columns
    panel_height = _PANEL_INCHES * (x_max - x_min) / (y_max - y_min) + 0.25
    # The legend takes 0.4 inches at the foot.
    figure = Figure(figsize=(width, panel_height * rows + 0.4), dpi=110, facecolor="white", layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for index, ax in enumerate(axes):
        if index >= count:
            ax.set_axis_off()
            continue
        _draw_maze(ax, layout)
        _draw_episode(ax, rollout, index)
        result = f"return {rollout.returns[index]:.0f}" if scores is None else f"score {scores[index]:.1f}"
        ax.set_title(f"seed {rollout.seeds[index]} · {result}", fontsize=8.5, color=_INK, pad=3)
    _draw_legend(figure, columns, has_plans=rollout.plans is not None, has_goal=rollout.targets is not None)
    png = io.BytesIO()
    canvas.print_png(png)
    write_atomically(path, png.getvalue())


def _visible(layout: MazeLayout) -> tuple[float, float, float, float]:
    """The maze without most of its outer wall, which is the same in every panel, as (x_min, x_max, y_min, y_max)."""
    x_min, x_max, y_min, y_max = layout.extent
    return (x_min + _HIDDEN_WALL, x_max - _HIDDEN_WALL, y_min + _HIDDEN_WALL, y_max - _HIDDEN_WALL)


def _draw_maze(ax: Axes, layout: MazeLayout) -> None:
    walls = [Rectangle((y0, x0), y1 - y0, x1 - x0) for x0, y0, x1, y1 in layout.wall_rectangles()]
    # A thin edge of the same colour closes the hairlines between neighbouring cells.
    ax.add_collection(PatchCollection(walls, facecolor=_WALL, edgecolor=_WALL, linewidth=0.5))
    x_min, x_max, y_min, y_max = _visible(layout)
    ax.set(xlim=(y_min, y_max), ylim=(x_max, x_min), aspect="equal", facecolor=_FLOOR, xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)


def _draw_episode(ax: Axes, rollout: Rollout, index: int) -> None:
    executed = rollout.observations[index, : rollout.lengths[index] + 1]
    if rollout.plans is not None:
        plan = rollout.plans[index]
        points = plan[:, 1::-1].astype(np.float64)
        lines = LineCollection(
            list(np.stack([points[:-1], points[1:]], axis=1)), cmap=_TIME, linewidth=3.4, capstyle="round", zorder=2
        )
        lines.set_array(np.linspace(0.0, 1.0, max(len(points) - 1, 1)))
        ax.add_collection(lines)
    ax.plot(executed[:, 1], executed[:, 0], color=_INK, linewidth=0.8, zorder=3)
    start_x, start_y = rollout.starts[index, :2]
    ax.plot(start_y, start_x, "o", markersize=6.5, markerfacecolor="white", markeredgecolor=_INK, zorder=4)
    if rollout.targets is not None:
        goal_x, goal_y = rollout.targets[index]
        ax.plot(goal_y, goal_x, "*", markersize=12, markerfacecolor=_GOAL, markeredgecolor="white", zorder=5)


def _draw_legend(figure: Figure, columns: int, *, has_plans: bool, has_goal: bool) -> None:
    handles = [
        Line2D([], [], color=_INK, linewidth=1, label="executed"),
        Line2D([], [], marker="o", linestyle="", markerfacecolor="white", markeredgecolor=_INK, label="start"),
    ]
    if has_goal:
        goal = Line2D([], [], marker="*", linestyle="", label="goal", markersize=11)
        goal.set(markerfacecolor=_GOAL, markeredgecolor="white")
        handles.append(goal)
    if has_plans:
        handles.insert(0, Line2D([], [], color=_at(_TIME, 0.0), linewidth=3.4, label="plan, first row"))
        handles.insert(1, Line2D([], [], color=_at(_TIME, 1.0), linewidth=3.4, label="plan, last row"))
    entries = len(handles) if columns > 2 else 2
    figure.legend(handles=handles, loc="outside lower center", ncols=entries, frameon=False, fontsize=8.5)


def _at(colours: Colormap, place: float) -> tuple[float, float, float, float]:
    red, green, blue, alpha = colours(place)
    return (red, green, blue, alpha)
