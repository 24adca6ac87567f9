"""Plans in a maze: one episode a panel, many plans of one decision, and a denoising chain as a film."""

from collections.abc import Mapping, Sequence
from typing import Any

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

WALL, FLOOR, INK, GOAL = "#5c6370", "#f6f6f3", "#22262e", "#d64541"
# From blue to orange: early and late rows differ in lightness too, and neither end drowns in the floor.
TIME = LinearSegmentedColormap.from_list("time", ["#123a7c", "#3468c0", "#8a5fb8", "#d0587e", "#ef8a2b"])
_HIDDEN_WALL = 0.7
_COLUMNS, _PANEL_INCHES, _TITLE_INCHES, _FOOT_INCHES = 4, 2.4, 0.3, 0.4
_THIN, _THICK = 1.2, 3.4
_PLAN_ENDS = ("plan, first row", "plan, last row")
_LOOKS: dict[str, dict[str, Any]] = {
    "plan, first row": {"color": TIME(0.0), "linewidth": _THICK},
    "plan, last row": {"color": TIME(1.0), "linewidth": _THICK},
    "executed": {"color": INK, "linewidth": 0.8, "zorder": 3},
} | {
    name: {"marker": marker, "markersize": size, "color": face, "markeredgecolor": edge, "zorder": 5, "linestyle": ""}
    for name, marker, size, face, edge in (
        ("start", "o", 6.5, "white", INK),
        ("goal", "*", 12, GOAL, "white"),
        ("guide's spot", "P", 9, "#2a9d5c", "white"),
    )
}


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


def draw_path(ax: Axes, path: Float[np.ndarray, "row position"], linewidth: float = _THICK) -> LineCollection:
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


def draw_mark(ax: Axes, name: str, place: Float[np.ndarray, " position"] | Sequence[float]) -> None:
    """Marks a place in a maze.

    Args:
        ax: To draw on.
        name: ``start``, ``goal`` or ``guide's spot``.
        place: Position first, in metres.
    """
    ax.plot(place[1], place[0], **_LOOKS[name])


def _panels(
    layout: MazeLayout, titles: Sequence[str], columns: int, legend: Sequence[str]
) -> tuple[Figure, list[Axes]]:
    """A figure with a maze for each title, at most so many side by side, and a legend of marks and lines below."""
    columns = min(columns, len(titles))
    rows = -(-len(titles) // columns)
    x_min, x_max, y_min, y_max = visible_part(layout)
    panel = _PANEL_INCHES * (x_max - x_min) / (y_max - y_min) + _TITLE_INCHES
    size = (_PANEL_INCHES * columns, panel * rows + _FOOT_INCHES * bool(legend))
    figure = Figure(figsize=size, dpi=110, facecolor="white", layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax in axes[len(titles) :]:
        ax.set_axis_off()
    for ax, title in zip(axes, titles, strict=False):
        draw_maze(ax, layout)
        ax.set_title(title, fontsize=9, color=INK, pad=3.5)
    if legend:
        handles = [Line2D([], [], label=name, **_LOOKS[name]) for name in legend]
        entries = len(legend) if columns > 2 else 2
        figure.legend(handles=handles, loc="outside lower center", ncols=entries, frameon=False, fontsize=8.5)
    return figure, axes[: len(titles)]


def plan_gallery(
    layout: MazeLayout,
    plans: Mapping[str, Float[np.ndarray, "plan row position"]],
    columns: int = 4,
    via: Float[np.ndarray, " position"] | Sequence[float] | None = None,
    legend: bool = True,
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
    shown = [*_PLAN_ENDS, "start", "goal", *["guide's spot"] * (via is not None)]
    figure, axes = _panels(layout, list(plans), columns, shown if legend else [])
    for ax, drawn in zip(axes, plans.values(), strict=True):
        for plan in drawn[::-1]:
            draw_path(ax, plan, linewidth=_THICK if len(drawn) == 1 else _THIN)
        draw_mark(ax, "start", drawn[0, 0])
        draw_mark(ax, "goal", drawn[0, -1])
        if via is not None:
            draw_mark(ax, "guide's spot", via)
    return figure


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
    results = (
        [f"return {total:.0f}" for total in rollout.returns] if scores is None else [f"score {s:.1f}" for s in scores]
    )
    titles = [f"seed {seed} · {result}" for seed, result in zip(rollout.seeds, results, strict=True)][:max_plans]
    ends = [] if rollout.plans is None else _PLAN_ENDS
    goal = [] if rollout.targets is None else ["goal"]
    figure, axes = _panels(layout, titles, _COLUMNS, [*ends, "executed", "start", *goal])
    for index, ax in enumerate(axes):
        executed = rollout.observations[index, : rollout.lengths[index] + 1]
        if rollout.plans is not None:
            draw_path(ax, rollout.plans[index])
        ax.plot(executed[:, 1], executed[:, 0], **_LOOKS["executed"])
        draw_mark(ax, "start", rollout.starts[index])
        if rollout.targets is not None:
            draw_mark(ax, "goal", rollout.targets[index])
    return figure


def denoising_frames(
    layout: MazeLayout,
    chains: Mapping[str, Float[np.ndarray, "frame plan row position"]],
    captions: Sequence[str],
    dpi: int = 80,
) -> UInt8[np.ndarray, "frame height width 3"]:
    """Draws chains side by side, one frame a step.

    Args:
        layout: The maze.
        chains: Plans after each step, by title; positions first in a row, in metres. All are of one length.
        captions: What is written above each frame.
        dpi: Pixels an inch; a panel is 2.4 inches wide.

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
