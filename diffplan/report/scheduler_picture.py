"""The schedulers guide as a picture: score and plan quality against steps, network calls and seconds."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from diffplan.atomic_write import write_atomically
from diffplan.report.scheduler_cell import SchedulerCell
from diffplan.report.scheduler_table import quality_names, quality_words

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
_Place = Callable[[SchedulerCell], float]


def draw_schedulers(cells: Sequence[SchedulerCell], path: Path, title: str) -> None:
    """Draws one line a scheduler and writes a PNG file; bars are one standard error over episodes.

    Args:
        cells: Of one protocol; at least one.
        path: PNG file to write, in one piece.
        title: What was planned.
    """
    names = quality_names(cells)
    figure = Figure(figsize=(12.0, 7.6 if names else 4.4), dpi=110, facecolor="white", layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = np.atleast_2d(figure.subplots(2 if names else 1, 3))
    for ax, place, label in zip(
        axes[0],
        (lambda cell: cell.steps, lambda cell: cell.calls, lambda cell: 1e3 * cell.plan_cpu_seconds),
        ("denoising steps", "network calls a plan", "CPU milliseconds a plan"),
        strict=True,
    ):
        _draw(ax, cells, place, lambda cell: cell.mean, lambda cell: cell.standard_error)
        _label(ax, label, "normalised score")
    for ax in axes[1:].flat:
        ax.set_axis_off()
    for ax, name in zip(axes[1:].flat, names, strict=False):
        ax.set_axis_on()
        _draw(ax, cells, lambda cell: cell.steps, lambda cell, name=name: cell.quality.get(name, np.nan))
        _label(ax, "denoising steps", quality_words(name))
    counts = sorted({cell.steps for cell in cells})
    for ax in (axes[0, 0], *list(axes[1:].flat)[: len(names)]):
        ax.set_xticks(counts, labels=[str(count) for count in counts])
    figure.suptitle(f"{title} · {len(cells[0].scores)} episodes a point", fontsize=12, color=_INK)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=9, frameon=False)
    png = io.BytesIO()
    canvas.print_png(png)
    write_atomically(path, png.getvalue())


def _draw(ax: Axes, cells: Sequence[SchedulerCell], x: _Place, y: _Place, spread: _Place | None = None) -> None:
    for number, name in enumerate(dict.fromkeys(cell.scheduler for cell in cells)):
        own = sorted((cell for cell in cells if cell.scheduler == name), key=lambda cell: cell.steps)
        ax.errorbar(
            [x(cell) for cell in own],
            [y(cell) for cell in own],
            yerr=None if spread is None else [spread(cell) for cell in own],
            label=name,
            color=_COLOURS[number % len(_COLOURS)],
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=5,
            linewidth=1.3,
            elinewidth=0.9,
            capsize=2,
            alpha=0.85,
        )


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
