"""The schedulers guide as a picture: score and plan quality against steps, network calls and seconds."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from diffplan.report.picture.figure_file import write_figure
from diffplan.report.table.scheduler_cell import SchedulerCell
from diffplan.report.table.scheduler_table import quality_names, quality_words

_INK, _GRID = "#22262e", "#e2e3e6"
# Told apart without colour by their markers.
_COLOURS = (
    "#3468c0",
    "#d64541",
    "#2f9e6e",
    "#8a5fb8",
    "#ef8a2b",
    "#222222",
    "#17a2b8",
    "#b5651d",
    "#c2397f",
    "#7a7f87",
)
_MARKERS = "osD^vP*X<>"
# How far apart neighbouring schedulers stand at one place of a logarithmic axis.
_DODGE = 1.025
_MOST_COLUMNS = 6
# A panel shows at least this share of its middle value to either side.
_SHARE_SHOWN = 0.25


@dataclass(frozen=True)
class _Axis:
    """What a cell is placed by along an axis, and how the axis is called."""

    label: str
    place: Callable[[SchedulerCell], float]
    spread: Callable[[SchedulerCell], float] | None = None


_STEPS = _Axis("denoising steps", lambda cell: cell.steps)
_CALLS = _Axis("network calls a plan", lambda cell: cell.calls)
_SECONDS = _Axis("CPU milliseconds a plan", lambda cell: 1e3 * cell.plan_cpu_seconds)
_SCORE = _Axis("normalised score", lambda cell: cell.mean, lambda cell: cell.standard_error)


def draw_schedulers(cells: Sequence[SchedulerCell], path: Path, title: str) -> None:
    """Draws one line a scheduler and writes a PNG file; bars are one standard error over episodes.

    Values far from all others (Tukey's outer fences) stand at the edge of their panel with their number, so that the
    others stay apart.

    Args:
        cells: Of one protocol; at least one.
        path: PNG file to write, in one piece.
        title: What was planned.
    """
    qualities = [_quality(name) for name in quality_names(cells)]
    rows = 1 + bool(qualities)
    figure = Figure(figsize=(12.0, 4.4 if rows == 1 else 7.6), dpi=110, facecolor="white", layout="constrained")
    panels = [(_STEPS, _SCORE), (_CALLS, _SCORE), (_SECONDS, _SCORE), *((_STEPS, quality) for quality in qualities)]
    axes = list(np.atleast_2d(figure.subplots(rows, 3)).flat)
    for ax, (x, y) in zip(axes, panels, strict=False):
        _draw(ax, cells, x, y)
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    figure.suptitle(f"{title} · {len(cells[0].scores)} episodes a point", fontsize=12, color=_INK)
    handles, labels = axes[0].get_legend_handles_labels()
    columns = math.ceil(len(labels) / math.ceil(len(labels) / _MOST_COLUMNS))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=9, frameon=False)
    write_figure(figure, path)


def _quality(name: str) -> _Axis:
    return _Axis(quality_words(name), lambda cell: cell.quality.get(name, np.nan))


def _draw(ax: Axes, cells: Sequence[SchedulerCell], x: _Axis, y: _Axis) -> None:
    lowest, highest = _limits([y.place(cell) for cell in cells])
    names = list(dict.fromkeys(cell.scheduler for cell in cells))
    for number, name in enumerate(names):
        own = sorted((cell for cell in cells if cell.scheduler == name), key=lambda cell: cell.steps)
        colour = _COLOURS[number % len(_COLOURS)]
        dodge = _DODGE ** (number - (len(names) - 1) / 2)
        places = [x.place(cell) * dodge for cell in own]
        values = np.array([y.place(cell) for cell in own])
        is_shown = (lowest <= values) & (values <= highest)
        ax.errorbar(
            places,
            values.clip(lowest, highest),
            yerr=None if y.spread is None else np.where(is_shown, [y.spread(cell) for cell in own], np.nan),
            label=name,
            color=colour,
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=5,
            linewidth=1.3,
            elinewidth=0.9,
            capsize=2,
            alpha=0.85,
        )
        for place, value in zip(places, values, strict=True):
            if value < lowest:
                _name_hidden(ax, place, lowest, f"↓ {value:.3g}", colour)
            elif value > highest:
                _name_hidden(ax, place, highest, f"↑ {value:.3g}", colour)
    _label(ax, x.label, y.label)
    if x is _STEPS:
        counts = sorted({cell.steps for cell in cells})
        ax.set_xticks(counts, labels=[str(count) for count in counts])


def _name_hidden(ax: Axes, x: float, edge: float, text: str, colour: str) -> None:
    """Writes the value of a point that stands at an edge above it."""
    ax.annotate(text, (x, edge), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=7.5, color=colour)


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Between which values a panel shows its points where they are."""
    known = np.array(values)[np.isfinite(values)]
    if not len(known):
        return -np.inf, np.inf
    low, middle, high = np.quantile(known, (0.25, 0.5, 0.75))
    margin = max(3 * (high - low), _SHARE_SHOWN * abs(middle))
    return float(low - margin), float(high + margin)


def _label(ax: Axes, x: str, y: str) -> None:
    ax.set_xscale("log")
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel(x, fontsize=10, color=_INK)
    ax.set_ylabel(y, fontsize=10, color=_INK)
    ax.tick_params(labelsize=8.5, colors=_INK, length=3)
    ax.grid(color=_GRID, linewidth=0.7)
    ax.set_axisbelow(True)
    for side, spine in ax.spines.items():
        spine.set(visible=side in ("left", "bottom"), color=_GRID)
