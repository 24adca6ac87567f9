"""Many plans of one decision: a panel for each way of drawing them."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from diffplan.env.maze2d.maze_layout import MazeLayout
from diffplan.errors import ConfigError
from diffplan.report.picture.maze_axes import GOAL, INK, TIME, draw_goal, draw_maze, draw_path, draw_start, visible_part

Plans = Float[np.ndarray, "plan row position"]
Place = Float[np.ndarray, " position"] | Sequence[float]

_PANEL_INCHES = 2.5
_TITLE_INCHES, _FOOT_INCHES = 0.35, 0.4
_LINE_WIDTHS = (1.2, 3.4)


def plan_gallery(
    layout: MazeLayout, plans: Mapping[str, Plans], columns: int = 4, via: Place | None = None, legend: bool = True
) -> Figure:
    """Draws plans in a maze, one panel a title, each plan coloured from its first row to its last.

    Start and goal are marked where the first plan of a panel begins and ends.

    Args:
        layout: The maze.
        plans: Plans by title, positions first in a row, in metres.
        columns: Most panels side by side.
        via: A place in the maze to mark in every panel.
        legend: Whether colours and marks are explained below.

    Raises:
        ConfigError: there is nothing to draw.
    """
    if not plans or min(len(drawn) for drawn in plans.values()) == 0 or columns < 1:
        raise ConfigError(f"A gallery needs plans for each of at least one panel; got {list(plans)}.")
    columns = min(columns, len(plans))
    rows = -(-len(plans) // columns)
    x_min, x_max, y_min, y_max = visible_part(layout)
    panel = _PANEL_INCHES * (x_max - x_min) / (y_max - y_min) + _TITLE_INCHES
    size = (_PANEL_INCHES * columns, panel * rows + _FOOT_INCHES * legend)
    figure = Figure(figsize=size, dpi=110, facecolor="white", layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[len(plans) :]:
        ax.set_axis_off()
    for ax, (title, drawn) in zip(axes, plans.items(), strict=False):
        draw_maze(ax, layout)
        _draw_plans(ax, drawn)
        if via is not None:
            ax.plot(via[1], via[0], "P", markersize=9, markerfacecolor="#2a9d5c", markeredgecolor="white", zorder=5)
        ax.set_title(title, fontsize=9.5, color=INK, pad=4)
    if legend:
        _draw_legend(figure, compact=columns < 3, has_via=via is not None)
    return figure


def _draw_plans(ax: Axes, plans: Plans) -> None:
    thin, thick = _LINE_WIDTHS
    for plan in plans[::-1]:
        draw_path(ax, plan, linewidth=thick if len(plans) == 1 else thin)
    draw_start(ax, plans[0, 0])
    draw_goal(ax, plans[0, -1])


def _draw_legend(figure: Figure, *, compact: bool, has_via: bool) -> None:
    marks = {"start": ("o", "white", INK), "goal": ("*", GOAL, "white")}
    if has_via:
        marks["guide's spot"] = ("P", "#2a9d5c", "white")
    handles = [Line2D([], [], color=TIME(end), linewidth=3, label=f"{row} row") for end, row in _ENDS]
    for label, (marker, face, edge) in marks.items():
        mark = Line2D([], [], marker=marker, linestyle="", label=label, markersize=9)
        mark.set(markerfacecolor=face, markeredgecolor=edge)
        handles.append(mark)
    columns = 2 if compact else len(handles)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=8.5)


_ENDS = ((0.0, "first"), (1.0, "last"))
