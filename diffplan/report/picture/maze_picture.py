"""Plans in a maze: one episode a panel, many plans of one decision, and a denoising chain as a film."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from diffplan.env.maze2d.maze_layout import MazeLayout
from diffplan.env.rollout import Rollout
from diffplan.errors import ConfigError
from diffplan.report.picture.media_files import write_figure

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


Plans = Float[np.ndarray, "plan row position"]
Place = Float[np.ndarray, " position"] | Sequence[float]

_GALLERY_INCHES = 2.5
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
    panel = _GALLERY_INCHES * (x_max - x_min) / (y_max - y_min) + _TITLE_INCHES
    size = (_GALLERY_INCHES * columns, panel * rows + _FOOT_INCHES * legend)
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
        _draw_gallery_legend(figure, compact=columns < 3, has_via=via is not None)
    return figure


def _draw_plans(ax: Axes, plans: Plans) -> None:
    thin, thick = _LINE_WIDTHS
    for plan in plans[::-1]:
        draw_path(ax, plan, linewidth=thick if len(plans) == 1 else thin)
    draw_start(ax, plans[0, 0])
    draw_goal(ax, plans[0, -1])


def _draw_gallery_legend(figure: Figure, *, compact: bool, has_via: bool) -> None:
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


Chain = Float[np.ndarray, "frame plan row position"]


def denoising_frames(
    layout: MazeLayout, chains: Mapping[str, Chain], captions: Sequence[str], dpi: int = 80
) -> UInt8[np.ndarray, "frame height width 3"]:
    """Draws chains side by side, one frame a step.

    Args:
        layout: The maze.
        chains: Plans after each step, by title; positions first in a row, in metres. All are of one length.
        captions: What is written above each frame.
        dpi: Pixels an inch; a panel is 2.5 inches wide.

    Raises:
        ConfigError: there is nothing to draw, or chains and captions differ in length.
    """
    if not chains or any(len(chain) != len(captions) for chain in chains.values()) or not captions:
        lengths = [len(chain) for chain in chains.values()]
        raise ConfigError(f"Chains and captions must be of one length, at least 1; got {lengths} and {len(captions)}.")
    frames = []
    for index, caption in enumerate(captions):
        panels = {title: chain[index] for title, chain in chains.items()}
        figure = plan_gallery(layout, panels, columns=len(panels), legend=False)
        figure.set_dpi(dpi)
        # Room above the caption, in inches.
        figure.set_layout_engine("constrained", h_pad=0.08)
        figure.suptitle(caption, fontsize=10, family="monospace")
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        frames.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    return np.stack(frames)
