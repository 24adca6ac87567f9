"""Charts of an ablation: scores against what was varied, and against the cost of a decision."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from diffplan.report.ablation import Ablation, value_text
from diffplan.report.charts import PLAIN, axis_kind, is_wide, opacity, reference_line, rounded, save_chart, tick_box

INTERVAL_NOTE = "Mean with its 95 % interval; small rings are the training seeds"
PAPER_NOTE = "; dashed: the paper's score on D4RL data"
_SAME_COST, _SAME_CPU_COST = 1.02, 1.25
_MOST_SETTINGS, _ROW_HEIGHT, _HEIGHT = 2, 46, 230
# How far apart neighbouring lines stand at one value, as a share of the axis.
_DODGE = 0.012


def score_chart(ablation: Ablation, interactive: bool = True) -> alt.LayerChart:
    """Draws scores with their intervals: along an axis if one of at most two settings is a number, else row by row.

    Args:
        ablation: At least one cell.
        interactive: Whether a box ticks the training seeds off; only a page can use it.
    """
    axis = numeric_setting(ablation)
    cells = _cell_frame(ablation, axis)
    score = _score_name(ablation)
    line = None if ablation.metric == "latched" else ablation.paper
    if axis is None:
        return _rows(cells, _seed_frame(ablation, cells), score, line, interactive)
    kind = axis_kind(list(cells["value"]))
    cells = _dodged(cells, kind)
    scale = alt.Scale(type="log" if kind == "log" else "linear", zero=False, nice=False, padding=28)
    ticks = alt.Axis(values=sorted(cells["value"].unique()), format=PLAIN, labelOverlap=True, grid=False)
    title = ablation.settings[axis] + (" (logarithmic)" if kind == "log" else "")
    x = (
        alt.X("value:O", title=f"{ablation.settings[axis]} (evenly spaced)", axis=alt.Axis(labelAngle=0))
        if kind == "ordinal"
        else alt.X("x:Q", title=title, scale=scale, axis=ticks)
    )
    base, colour = alt.Chart(cells).encode(x=x, y=_score_axis(alt.Y, score)), _series_colour(cells, is_named=False)
    layers = [base.encode(color=colour).mark_line(strokeWidth=1.5, opacity=0.55), *_marks(base, colour, "y", score)]
    rings = alt.Chart(_seed_frame(ablation, cells)).encode(x=x, y=alt.Y("score:Q", title=score), color=colour)
    layers += _seed_rings(rings, interactive, xOffset=9)
    return _finished(layers, line, cells, "y").properties(width="container", height=_HEIGHT)


def cost_chart(ablation: Ablation, interactive: bool = True) -> alt.LayerChart | None:
    """Draws scores against the cost of a decision; None if a decision costs the same in every cell.

    The cost is in operations if every cell counts them, else in processor time.

    Args:
        ablation: At least one cell.
        interactive: As in ``score_chart``.
    """
    costs, unit = decision_costs(ablation)
    if min(costs) <= 0 or max(costs) <= min(costs) * (_SAME_COST if unit == "GFLOP" else _SAME_CPU_COST):
        return None
    axis = numeric_setting(ablation)
    cells = _cell_frame(ablation, axis).assign(cost=costs)
    cells["mark"] = [str(cell.number) if axis is None else value_text(cell.values[axis]) for cell in ablation.cells]
    # Cells with equal names lie close together, so that only the highest one is named.
    cells["mark"] = cells["mark"].where(cells["mean"] == cells.groupby("mark")["mean"].transform("max"), "")
    scale = alt.Scale(type="log" if is_wide(costs) else "linear", zero=False, nice=False, padding=28)
    ticks = alt.Axis(format=PLAIN, tickCount=5, grid=False)
    x = alt.X("cost:Q", title=f"{unit} for one environment step", scale=scale, axis=ticks)
    score = _score_name(ablation)
    base = alt.Chart(rounded(cells)).encode(x=x, y=_score_axis(alt.Y, score))
    text = base.mark_text(align="left", dx=7, dy=-8).encode(text="mark:N")
    marks = _marks(base, _series_colour(cells, is_named=axis is None), "y", score)
    return alt.layer(*marks, text).properties(width="container", height=_HEIGHT)


def draw_ablation(ablation: Ablation, path: Path) -> None:
    """Draws score and, where it differs, cost of the cells into one picture.

    Args:
        ablation: What was varied.
        path: PNG, SVG or PDF file to write, whole or not at all.

    Raises:
        ConfigError: Another kind of file is asked for.
    """
    charts = [score_chart(ablation, interactive=False), cost_chart(ablation, interactive=False)]
    sized = [chart.properties(width=430, height=chart.height) for chart in charts if chart is not None]
    seeds = sorted({cell.statistics.num_seeds for cell in ablation.cells})
    counts = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    over = f"{counts} training seeds and their episodes" if seeds[-1] > 1 else "the episodes of one training seed"
    marks = ["small rings: training seeds"] * (seeds[-1] > 1) + ["black ring: baseline"] * (
        ablation.baseline is not None
    )
    notes = [f"mean with 95 % interval over {over}", "; ".join(marks)]
    kinds = sorted({str(stored.result.data["kind"]) for stored in ablation.results})
    data = "" if kinds == ["d4rl"] else f" · {' and '.join(kinds)} data"
    # A single chart is too narrow for both notes on one line.
    subtitle = [note for note in notes if note] if len(sized) == 1 else "; ".join(filter(None, notes))
    title = alt.Title(f"{ablation.task}, {ablation.protocol}{data}", subtitle=subtitle)
    save_chart(alt.hconcat(*sized, spacing=28).properties(title=title), path)


def decision_costs(ablation: Ablation) -> tuple[list[float], str]:
    """Returns the cost of a decision in each cell, and its unit: ``GFLOP``, or ``CPU seconds`` if one is not known."""
    gflop = [cell.pool.decision_gflop for cell in ablation.cells]
    if all(cost is not None for cost in gflop):
        return [float(cost or 0.0) for cost in gflop], "GFLOP"
    return [cell.pool.decision_cpu_seconds for cell in ablation.cells], "CPU seconds"


def numeric_setting(ablation: Ablation) -> int | None:
    """Chooses the setting of the axis: the numeric one with most values; None if there is none or too many vary."""
    values = [[cell.values[index] for cell in ablation.cells] for index in range(len(ablation.settings))]
    numeric = [index for index, column in enumerate(values) if axis_kind(column) != "nominal"]
    if len(ablation.settings) > _MOST_SETTINGS or not numeric:
        return None
    return max(numeric, key=lambda index: len(set(values[index])))


def _cell_frame(ablation: Ablation, axis: int | None) -> pd.DataFrame:
    """One row a cell; cells of one line of the chart share a series."""
    rows = []
    for cell in ablation.cells:
        low, high = cell.statistics.mean_interval
        pairs = zip(ablation.settings, cell.values, strict=True)
        shared = ", ".join(f"{name}={value_text(value)}" for i, (name, value) in enumerate(pairs) if i != axis)
        rows.append(
            {
                "number": cell.number,
                "label": cell.label,
                "series": f"{cell.number}  {cell.values_text}" if axis is None else shared,
                "value": None if axis is None else cell.values[axis],
                "mean": cell.statistics.mean,
                "low": low,
                "high": high,
                "n": cell.statistics.count_text,
                "baseline": cell.is_baseline,
            }
        )
    return pd.DataFrame(rows)


def _seed_frame(ablation: Ablation, cells: pd.DataFrame) -> pd.DataFrame:
    """One row a training seed of a cell that has several."""
    rows = [
        {"number": cell.number, "seed": seed, "score": mean}
        for cell in ablation.cells
        for seed, mean in cell.statistics.seed_means.items()
        if cell.statistics.num_seeds > 1
    ]
    return rounded(pd.DataFrame(rows, columns=["number", "seed", "score"]).merge(cells, on="number"))


def _dodged(cells: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Gives cells their place on the axis; lines are moved apart, so that no interval hides another."""
    if kind == "ordinal":
        return rounded(cells)
    place = np.log10(cells["value"].astype(float)) if kind == "log" else cells["value"].astype(float)
    codes, names = pd.factorize(cells["series"])
    moved = place + (codes - (len(names) - 1) / 2) * _DODGE * (float(np.ptp(place)) or 1.0)
    return rounded(cells.assign(x=10**moved if kind == "log" else moved))


def _score_name(ablation: Ablation) -> str:
    return "latched score" if ablation.metric == "latched" else "normalised score"


def _score_axis(channel: type[alt.X | alt.Y], title: str) -> Any:
    return channel("mean:Q", title=title, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5, format=PLAIN))


def _series_colour(cells: pd.DataFrame, is_named: bool) -> alt.Color:
    """The colour of each line; it needs no legend if the cells are named where they are drawn."""
    names = list(cells["series"].unique())
    legend = alt.Legend(title=None, columns=2) if len(names) > 1 and not is_named else None
    return alt.Color("series:N", sort=names, legend=legend)


def _marks(base: alt.Chart, colour: alt.Color, along: str, title: str) -> list[alt.Chart]:
    """Interval, mean with its tooltip, and a ring around the baseline."""
    low = alt.Y("low:Q", title=title) if along == "y" else alt.X("low:Q", title=title)
    ends = {along: low, f"{along}2": "high:Q", "color": colour}
    names = {"label": "", "mean": ".2f", "low": ".2f", "high": ".2f", "n": ""}
    tooltip = [alt.Tooltip(f"{name}:{'Q' if form else 'N'}", format=form) for name, form in names.items()]
    marks = [
        base.mark_errorbar(ticks={"size": 9, "thickness": 2}, thickness=2).encode(**ends),
        base.mark_point(size=80, opacity=1).encode(color=colour, tooltip=tooltip),
    ]
    if base.data["baseline"].any():
        ringed = base.transform_filter("datum.baseline")
        marks.append(ringed.mark_point(size=230, filled=False, strokeWidth=1.5, opacity=1))
    return marks


def _seed_rings(base: alt.Chart, interactive: bool, **offset: int) -> list[alt.Chart]:
    """Small rings beside the mean, one a training seed, with a box to tick them off."""
    if base.data.empty:
        return []
    tooltip = ["label:N", alt.Tooltip("seed:O", title="training seed"), alt.Tooltip("score:Q", format=".2f")]
    rings = base.mark_point(size=22, filled=False, strokeWidth=1.2, **offset).encode(tooltip=tooltip)
    if not interactive:
        return [rings]
    shown = tick_box("training seeds")
    return [rings.encode(opacity=opacity(shown.name, 0.9, 0.0)).add_params(shown)]


def _rows(
    cells: pd.DataFrame, seeds: pd.DataFrame, score: str, line: float | None, interactive: bool
) -> alt.LayerChart:
    """One row a cell with its name above, for settings that are no numbers or too many of them."""
    y = alt.Y("number:O", axis=None)
    base, colour = (
        alt.Chart(rounded(cells)).encode(x=_score_axis(alt.X, score), y=y),
        _series_colour(cells, is_named=True),
    )
    names = base.mark_text(align="left", dy=-15).encode(x=alt.value(2), text="series:N")
    rings = alt.Chart(seeds).encode(x=alt.X("score:Q", title=score), y=y, color=colour)
    layers = [names, *_marks(base, colour, "x", score), *_seed_rings(rings, interactive, yOffset=9)]
    return _finished(layers, line, cells, "x").properties(width="container", height=_ROW_HEIGHT * len(cells))


def _finished(layers: Sequence[alt.Chart], line: float | None, cells: pd.DataFrame, axis: str) -> alt.LayerChart:
    """Adds the paper's score; its label keeps away from the end of the chart."""
    if line is None:
        return alt.layer(*layers)
    is_last = line > (min(cells["low"].min(), line) + max(cells["high"].max(), line)) / 2
    return alt.layer(*layers, *reference_line((line, f"paper {line:g}"), axis, is_last if axis == "x" else True))
