"""Plans against the maze: what was imagined, what was done, one small picture per episode."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from diffplan.env.maze2d.maze_layout import MazeLayout
from diffplan.env.rollout import Rollout
from diffplan.errors import ConfigError
from diffplan.report.picture.figure_file import write_figure
from diffplan.report.picture.maze_axes import GOAL, INK, TIME, draw_goal, draw_maze, draw_path, draw_start, visible_part

_PANEL_INCHES = 2.3
_COLUMNS = 4


def draw_plans(
    layout: MazeLayout,
    rollout: Rollout,
    path: Path,
    scores: Sequence[float] | Float[np.ndarray, " env"] | None = None,
    max_plans: int = 12,
) -> None:
    """Draws what ``plans_figure`` shows and writes a PNG file.

    Args:
        layout: The maze.
        rollout: What was planned and done.
        path: PNG file to write, in one piece.
        scores: Normalised score per episode; None writes the return instead.
        max_plans: Most panels to draw, at least 1.

    Raises:
        ConfigError: fewer than one panel was asked for, or scores and episodes differ in number.
    """
    write_figure(plans_figure(layout, rollout, scores, max_plans), path)


def plans_figure(
    layout: MazeLayout,
    rollout: Rollout,
    scores: Sequence[float] | Float[np.ndarray, " env"] | None = None,
    max_plans: int = 12,
) -> Figure:
    """Draws the first episodes of a rollout side by side.

    Every panel shows the maze from above (x downwards, y to the right, as in the videos), the plan coloured from its
    first row to its last, the executed path as a thin line, start and goal, and above it the seed and the score.

    Args:
        layout: The maze.
        rollout: What was planned and done; without plans only the executed paths are drawn.
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
    x_min, x_max, y_min, y_max = visible_part(layout)
    width = _PANEL_INCHES * columns
    panel_height = _PANEL_INCHES * (x_max - x_min) / (y_max - y_min) + 0.25
    # The legend takes 0.4 inches at the foot.
    figure = Figure(figsize=(width, panel_height * rows + 0.4), dpi=110, facecolor="white", layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for index, ax in enumerate(axes):
        if index >= count:
            ax.set_axis_off()
            continue
        draw_maze(ax, layout)
        _draw_episode(ax, rollout, index)
        result = f"return {rollout.returns[index]:.0f}" if scores is None else f"score {scores[index]:.1f}"
        ax.set_title(f"seed {rollout.seeds[index]} · {result}", fontsize=8.5, color=INK, pad=3)
    _draw_legend(figure, columns, has_plans=rollout.plans is not None, has_goal=rollout.targets is not None)
    return figure


def _draw_episode(ax: Axes, rollout: Rollout, index: int) -> None:
    executed = rollout.observations[index, : rollout.lengths[index] + 1]
    if rollout.plans is not None:
        draw_path(ax, rollout.plans[index])
    ax.plot(executed[:, 1], executed[:, 0], color=INK, linewidth=0.8, zorder=3)
    draw_start(ax, rollout.starts[index])
    if rollout.targets is not None:
        draw_goal(ax, rollout.targets[index])


def _draw_legend(figure: Figure, columns: int, *, has_plans: bool, has_goal: bool) -> None:
    handles = [
        Line2D([], [], color=INK, linewidth=1, label="executed"),
        Line2D([], [], marker="o", linestyle="", markerfacecolor="white", markeredgecolor=INK, label="start"),
    ]
    if has_goal:
        goal = Line2D([], [], marker="*", linestyle="", label="goal", markersize=11)
        goal.set(markerfacecolor=GOAL, markeredgecolor="white")
        handles.append(goal)
    if has_plans:
        handles.insert(0, Line2D([], [], color=TIME(0.0), linewidth=3.4, label="plan, first row"))
        handles.insert(1, Line2D([], [], color=TIME(1.0), linewidth=3.4, label="plan, last row"))
    entries = len(handles) if columns > 2 else 2
    figure.legend(handles=handles, loc="outside lower center", ncols=entries, frameon=False, fontsize=8.5)
