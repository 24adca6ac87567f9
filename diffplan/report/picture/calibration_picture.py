"""The critic's values against the returns that followed, as a picture."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from diffplan.env.plan_measures import ValueCalibration
from diffplan.method.critic import ReturnTarget
from diffplan.report.picture.media_files import write_figure

_INK, _GRID, _CUT, _IDENTITY = "#22262e", "#e4e4df", "#c9ccd2", "#d64541"
_COUNT = LinearSegmentedColormap.from_list("count", ["#9fb8e6", "#3468c0", "#123a7c"])
_CELLS = 48


def draw_calibration(calibration: ValueCalibration, target: ReturnTarget, path: Path) -> None:
    """Draws one point a decision, gathered in hexagonal cells where they are many, and writes a PNG file.

    A perfect critic lies on the diagonal. Decisions that a time limit cut off too early lie behind, in grey.

    Args:
        calibration: The decisions.
        target: What the critic's value predicts.
        path: PNG file to write, in one piece.
    """
    figure = Figure(figsize=(6.0, 5.6), dpi=130, facecolor="white", layout="constrained")
    ax = figure.subplots()
    low, high = _limits(calibration)
    values, returns, counted = calibration.values, calibration.returns, calibration.counted
    ax.plot(values[~counted], returns[~counted], "o", color=_CUT, markersize=2, markeredgewidth=0, zorder=1)
    if counted.any():
        cells = ax.hexbin(
            values[counted],
            returns[counted],
            gridsize=_CELLS,
            extent=(low, high, low, high),
            mincnt=1,
            cmap=_COUNT,
            linewidths=0.1,
            zorder=2,
        )
        counts: Any = cells.get_array()
        most = max(int(counts.max()), 2)
        cells.set_norm(LogNorm(1, most))
        bar = figure.colorbar(cells, ax=ax, shrink=0.6, aspect=28, pad=0.02)
        bar.set_label("decisions", color=_INK, fontsize=9)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=8, colors=_INK)
        bar.ax.yaxis.set_major_formatter(StrMethodFormatter("{x:.0f}"))
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
        if most < 10:
            bar.set_ticks([1, most])
    ax.plot([low, high], [low, high], color=_IDENTITY, linewidth=1.2, zorder=3)
    _label(figure, ax, calibration, target)
    ax.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    write_figure(figure, path)


def _limits(calibration: ValueCalibration) -> tuple[float, float]:
    both = np.concatenate([calibration.values, calibration.returns])
    if len(both) == 0:
        return 0.0, 1.0
    margin = 0.04 * max(float(np.ptp(both)), 1.0)
    return float(both.min()) - margin, float(both.max()) + margin


def _label(figure: Figure, ax: Axes, calibration: ValueCalibration, target: ReturnTarget) -> None:
    """Says in words what is drawn."""
    correlation, bias = calibration.correlation, calibration.bias
    texts = ["correlation undefined" if correlation is None else f"correlation {correlation:.2f}"]
    texts.append("bias undefined" if bias is None else f"bias {bias:+.1f}")
    ax.set_title(" · ".join([*texts, f"{calibration.counted.sum():,} decisions"]), fontsize=12, color=_INK, loc="left")
    ax.set_xlabel("critic's value of the chosen plan", fontsize=10, color=_INK)
    terms = f"discount {target.discount:g}, {target.termination_penalty:+g} at termination"
    ax.set_ylabel(f"return that followed\n({terms})", fontsize=10, color=_INK)
    ax.tick_params(labelsize=8.5, colors=_INK, length=3)
    ax.grid(color=_GRID, linewidth=0.7)
    ax.set_axisbelow(True)
    for name, spine in ax.spines.items():
        spine.set(visible=name in ("left", "bottom"), color=_CUT)
    handles = [Line2D([], [], color=_IDENTITY, linewidth=1.2, label="value = return")]
    if not calibration.counted.all():
        share = f"{(~calibration.counted).sum():,} cut off by the time limit, not counted"
        handles.append(Line2D([], [], marker="o", linestyle="", color=_CUT, markersize=5, label=share))
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=9, frameon=False)
