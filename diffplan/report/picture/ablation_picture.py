"""Scores against what was varied, as a picture."""

import io
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator, StrMethodFormatter

from diffplan.errors import ConfigError
from diffplan.files import write_atomically
from diffplan.report.table.ablation import Ablation, AblationCell, Value, value_text

_INK, _GRID, _RULE = "#22262e", "#e4e4df", "#c9ccd2"
_COLORS = ("#3468c0", "#d64541", "#2f9e5b", "#8a5cc2", "#d98e04", "#0d8f9c", "#8c564b", "#5a6270")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_FORMATS = ("png", "svg", "pdf")
_WIDE_RANGE = 20.0
_MOST_WORDS = 12


def draw_ablation(ablation: Ablation, path: Path) -> None:
    """Draws the mean of each value with its 95 % interval and a dot for each training seed.

    Two settings become lines: the one with more values lies on the axis. Where deciding costs differently, a second
    panel shows the score against that cost.

    Args:
        ablation: What was varied.
        path: PNG, SVG or PDF file to write, in one piece.

    Raises:
        ConfigError: another kind of file is asked for.
    """
    kind = path.suffix.removeprefix(".").lower()
    if kind not in _FORMATS:
        raise ConfigError(f"A picture must be a .png, .svg or .pdf file, got {path.name!r}.")
    costs, unit = _costs(ablation)
    figure = Figure(figsize=(5.6 if costs is None else 9.6, 4.3), dpi=150, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 1 if costs is None else 2, squeeze=False, sharey=True)[0]
    axis, lines = _lines(ablation)
    _draw_values(axes[0], ablation, axis, lines)
    if costs is not None:
        _draw_costs(axes[1], costs, unit, axis, lines)
    _label(figure, axes, ablation, lines)
    content = io.BytesIO()
    figure.savefig(content, format=kind, metadata={"Date": None} if kind == "svg" else None)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.getvalue())


def _lines(ablation: Ablation) -> tuple[int, dict[Value, list[AblationCell]]]:
    """Which setting lies on the axis, and the cells of each line."""
    if len(ablation.settings) == 1:
        return 0, {None: list(ablation.cells)}
    distinct = [len({cell.values[number] for cell in ablation.cells}) for number in (0, 1)]
    numeric = [_are_numbers([cell.values[number] for cell in ablation.cells]) for number in (0, 1)]
    axis = max((0, 1), key=lambda number: (numeric[number], distinct[number], -number))
    lines: dict[Value, list[AblationCell]] = {}
    for cell in ablation.cells:
        lines.setdefault(cell.values[1 - axis], []).append(cell)
    return axis, lines


def _are_numbers(values: Sequence[Value]) -> bool:
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def _positions(ax: Axes, values: Sequence[Value]) -> dict[Value, float]:
    """Where each value lies; puts its name there. Numbers keep their distances where these can be seen."""
    numbers = [float(value) for value in values if isinstance(value, (int, float))]
    spread = max(numbers) / min(numbers) if len(numbers) == len(values) and min(numbers) > 0 else 0.0
    if not _are_numbers(values) or (min(numbers) <= 0 < max(numbers) and _is_uneven(numbers)):
        places = dict(zip(values, map(float, range(len(values))), strict=True))
    else:
        places = dict(zip(values, numbers, strict=True))
        if spread > _WIDE_RANGE:
            ax.set_xscale("log")
    names = [value_text(value) for value in places]
    tilted = len("".join(names)) > 45
    ax.xaxis.set_major_locator(FixedLocator(list(places.values())))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(list(places.values()), [name if len(name) <= 24 else f"{name[:21]}..." for name in names])
    if tilted:
        ax.tick_params(axis="x", labelrotation=25)
    return places


def _is_uneven(numbers: Sequence[float]) -> bool:
    """Whether values with a zero among them spread too far for an axis with distances."""
    sizes = [abs(number) for number in numbers if number]
    return max(sizes) / min(sizes) > _WIDE_RANGE


def _draw_values(ax: Axes, ablation: Ablation, axis: int, lines: dict[Value, list[AblationCell]]) -> None:
    values = list(dict.fromkeys(cell.values[axis] for cell in ablation.cells))
    ordered = sorted(values, key=lambda value: [cell.values[axis] for cell in ablation.cells].index(value))
    if len(lines) > 1:
        ordered = sorted(values, key=lambda v: (v is not None, v if _are_numbers([v]) else math.inf, str(v)))
    places = _positions(ax, ordered)
    is_log, all_numbers = ax.get_xscale() == "log", _are_numbers(values)
    gap = _smallest_gap(list(places.values()), is_log)
    for number, cells in enumerate(lines.values()):
        shift = 0.12 * gap * (number - (len(lines) - 1) / 2)
        x = [_moved(places[cell.values[axis]], shift, is_log) for cell in cells]
        style = _style(number)
        means = np.array([cell.statistics.mean for cell in cells])
        ax.errorbar(x, means, yerr=_errors(cells), fmt=style["marker"], color=style["color"], markersize=6, capsize=3)
        if all_numbers and len(cells) > 1:
            ax.plot(x, means, color=style["color"], linewidth=1.2, alpha=0.6)
        for place, cell in zip(x, cells, strict=True):
            seeds = list(cell.statistics.seed_means.values())
            if len(seeds) > 1:
                beside = [_moved(place, (0.02 + 0.07 / len(lines)) * gap, is_log)] * len(seeds)
                ax.plot(beside, seeds, ".", color=style["color"], markersize=5, alpha=0.55, markeredgewidth=0)
            if cell.is_baseline:
                ax.plot(place, cell.statistics.mean, "o", markersize=12, markerfacecolor="none", color=_INK, zorder=4)
    ax.set_xlabel(ablation.settings[axis], fontsize=10, color=_INK)


def _smallest_gap(places: Sequence[float], is_log: bool) -> float:
    ordered = sorted(math.log10(place) if is_log else place for place in places)
    return min((after - before for before, after in itertools.pairwise(ordered)), default=1.0)


def _moved(place: float, shift: float, is_log: bool) -> float:
    return place * 10**shift if is_log else place + shift


def _errors(cells: Sequence[AblationCell]) -> Any:
    """Lengths from the mean down and up to the ends of its interval."""
    found = [cell.statistics for cell in cells]
    down = [max(one.mean - one.mean_interval[0], 0.0) for one in found]
    return np.array([down, [max(one.mean_interval[1] - one.mean, 0.0) for one in found]])


def _style(number: int) -> dict[str, str]:
    return {"color": _COLORS[number % len(_COLORS)], "marker": _MARKERS[number % len(_MARKERS)]}


def _costs(ablation: Ablation) -> tuple[dict[tuple[Value, ...], float] | None, str]:
    """Cost of each cell, in operations where they are known; None where all cost the same."""
    flops = [cell.pool.decision_gflop for cell in ablation.cells]
    known = all(flop is not None and flop > 0 for flop in flops)
    unit = "GFLOP an environment step" if known else "CPU seconds an environment step"
    costs = {
        cell.values: float((cell.pool.decision_gflop if known else cell.pool.decision_cpu_seconds) or 0.0)
        for cell in ablation.cells
    }
    # Processor time is never measured twice the same.
    least = min(costs.values())
    differ = least > 0 and max(costs.values()) / least > (1.01 if known else 1.25)
    return (costs, unit) if differ else (None, unit)


def _draw_costs(
    ax: Axes, costs: dict[tuple[Value, ...], float], unit: str, axis: int, lines: dict[Value, list[AblationCell]]
) -> None:
    for number, cells in enumerate(lines.values()):
        style = _style(number)
        x = [costs[cell.values] for cell in cells]
        means = [cell.statistics.mean for cell in cells]
        ax.errorbar(x, means, yerr=_errors(cells), fmt=style["marker"], color=style["color"], markersize=6, capsize=3)
        for place, mean, cell in zip(x, means, cells, strict=True):
            # The other setting is the line's colour.
            text = value_text(cell.values[axis])
            if len(costs) <= _MOST_WORDS:
                ax.annotate(text, (place, mean), (6, 5), textcoords="offset points", fontsize=8, color=_INK)
            if cell.is_baseline:
                ax.plot(place, mean, "o", markersize=12, markerfacecolor="none", color=_INK, zorder=4)
    if max(costs.values()) / min(costs.values()) > _WIDE_RANGE / 4:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.xaxis.set_minor_locator(NullLocator())
    ax.margins(x=0.12)
    ax.set_xlabel(unit, fontsize=10, color=_INK)


def _label(figure: Figure, axes: Any, ablation: Ablation, lines: dict[Value, list[AblationCell]]) -> None:
    """Says in words what is drawn."""
    score = "latched score" if ablation.metric == "latched" else "D4RL score"
    axes[0].set_ylabel(score, fontsize=10, color=_INK)
    seeds = sorted({cell.statistics.num_seeds for cell in ablation.cells})
    counts = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    kinds = sorted({str(stored.result.data["kind"]) for cell in ablation.cells for stored in cell.pool.results})
    data = "" if kinds == ["d4rl"] else f" · {' and '.join(kinds)} data"
    figure.suptitle(f"{ablation.task}, {ablation.protocol}{data}", fontsize=11, color=_INK, x=0.01, ha="left")
    ring = ", ring: baseline" if ablation.baseline is not None else ""
    figure.supxlabel(
        f"mean with 95 % interval over {counts} training seeds and their episodes; dots: seeds{ring}"
        if seeds[-1] > 1
        else f"mean with 95 % interval over the episodes of one training seed{ring}",
        fontsize=8, color=_INK,
    )  # fmt: skip
    if len(lines) > 1:
        axis = _lines(ablation)[0]
        handles = [axes[0].plot([], [], linestyle="", markersize=6, label=value_text(value), **_style(number))[0]
                   for number, value in enumerate(lines)]  # fmt: skip
        axes[0].legend(
            handles=handles, title=ablation.settings[1 - axis], fontsize=8.5, title_fontsize=9, frameon=False
        )
    for ax in axes:
        ax.tick_params(labelsize=8.5, colors=_INK, length=3)
        ax.grid(color=_GRID, linewidth=0.7)
        ax.set_axisbelow(True)
        for name, spine in ax.spines.items():
            spine.set(visible=name in ("left", "bottom"), color=_RULE)
