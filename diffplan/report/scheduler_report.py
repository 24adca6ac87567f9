"""The schedulers guide in files: Markdown, CSV, a picture a protocol and a page of charts."""

import math
from collections.abc import Sequence
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd

from diffplan.report.cell_report import ProtocolCharts, write_comparison
from diffplan.report.charts import PLAIN, rounded
from diffplan.report.scheduler_guide import SchedulerCell, cell_table, markdown, quality_titles

_HEIGHT = 230
# Factor between the places of neighbouring schedulers on a logarithmic axis, so that their points do not overlap.
_DODGE = 1.025
# A panel shows at least this share of its middle value to either side.
_SHARE_SHOWN = 0.25
# Shapes tell schedulers apart where colours cannot be seen.
_SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right")
_SCORE = "normalised score"
# Columns of the table of cells by title of the axis.
_PLACES = {"denoising steps": "steps", "network calls a plan": "network_calls", "CPU milliseconds a plan": "cpu_ms"}


def write_guide(
    cells: Sequence[SchedulerCell], refused: Sequence[str], title: str, trained: str, folder: Path
) -> dict[str, Path]:
    """Writes the guide into a folder.

    Args:
        cells: At least one; all protocols.
        refused: One sentence for each scheduler that could not be used.
        title: Which model planned.
        trained: Name of the scheduler that the model was trained with.
        folder: Folder to write into.

    Returns:
        The files: ``markdown``, ``csv``, ``page``, and the picture of each protocol by its name.
    """
    charts = {}
    for protocol in dict.fromkeys(cell.protocol for cell in cells):
        own = [cell for cell in cells if cell.protocol == protocol]
        charts[protocol] = ProtocolCharts(scheduler_charts(own), scheduler_charts(own, interactive=False), _note(own))
    text, heading = markdown(cells, trained, refused), f"Schedulers for {title}"
    return write_comparison("schedulers", heading, [_note(cells)], text, cell_table(cells), charts, folder)


def scheduler_charts(cells: Sequence[SchedulerCell], interactive: bool = True) -> dict[str, alt.LayerChart]:
    """Draws score against steps, network calls and time, then the quality of plans against steps.

    A value far from all others (outside Tukey's outer fences) is drawn at the edge of its panel, labelled with its
    number, so that the other points remain distinguishable.

    Args:
        cells: Of one protocol; at least one.
        interactive: Whether a click on a name shows and hides it; only a page can use it.

    Returns:
        Panels by title.
    """
    table = cell_table(cells)
    measures = quality_titles(table)
    table["cpu_ms"] = 1e3 * table["plan_cpu_seconds"]
    panels = {
        f"Score by {title}": _panel(_rows(table, place, "score_mean"), title, _SCORE)
        for title, place in _PLACES.items()
    }
    for name, title in measures.items():
        panels[title] = _panel(_rows(table, "steps", name), "denoising steps", f"{title[0].lower()}{title[1:]}")
    if not interactive:
        return panels
    chosen = alt.selection_point(fields=["scheduler"], bind="legend", toggle="true")
    opacity = alt.when(chosen).then(alt.value(0.85)).otherwise(alt.value(0.06))
    return {title: panel.encode(opacity=opacity).add_params(chosen) for title, panel in panels.items()}


def _note(cells: Sequence[SchedulerCell]) -> str:
    return f"{len(cells[0].scores)} episodes a point; bars are one standard error over episodes"


def _rows(table: pd.DataFrame, place: str, measure: str) -> pd.DataFrame:
    """Returns one row a cell: where it is drawn, its value, and a text if the value lies outside the panel."""
    names = list(table["scheduler"].unique())
    lowest, highest = _fences(table[measure])
    cells = table.dropna(subset=measure).sort_values("steps", kind="stable", ignore_index=True)
    value = cells[measure]
    inside = value.between(lowest, highest)
    error = cells["score_stderr"].where(inside) if measure == "score_mean" else math.nan
    texts = [f"{'↓' if number < lowest else '↑'} {number:.3g}" for number in value]
    return rounded(
        pd.DataFrame(
            {
                "scheduler": cells["scheduler"], "steps": cells["steps"], "calls": cells["network_calls"],
                "value": value,
                "x": cells[place] * _DODGE ** (cells["scheduler"].map(names.index) - (len(names) - 1) / 2),
                "y": value.clip(lowest, highest), "low": value - error, "high": value + error,
                "outside": np.where(inside, "", texts),
            }
        )
    )  # fmt: skip


def _panel(rows: pd.DataFrame, x_title: str, y_title: str) -> alt.LayerChart:
    ticks = sorted(rows["steps"].unique().tolist()) if x_title == "denoising steps" else alt.Undefined
    names = list(rows["scheduler"].unique())
    shapes = alt.Scale(range=[_SHAPES[number % len(_SHAPES)] for number in range(len(names))])
    legend = alt.Legend(title=None, columns=3, symbolSize=60)
    scale = alt.Scale(type="log", nice=False, padding=12)
    base = alt.Chart(rows).encode(
        x=alt.X("x:Q", title=x_title, scale=scale, axis=alt.Axis(values=ticks, format=PLAIN, grid=False)),
        y=alt.Y("y:Q", title=y_title, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5, format=PLAIN)),
        color=alt.Color("scheduler:N", sort=names, legend=legend),
    )
    tooltip = ["scheduler:N", "steps:Q", "calls:Q", alt.Tooltip("value:Q", title=y_title, format=".4~g")]
    shape = alt.Shape("scheduler:N", sort=names, scale=shapes, legend=None)
    layers = [base.mark_line(strokeWidth=1.4), base.mark_point(size=40).encode(tooltip=tooltip, shape=shape)]
    if rows["low"].notna().any():
        bars = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=1)
        layers.append(bars.encode(y=alt.Y("low:Q", title=y_title), y2="high:Q"))
    if rows["outside"].any():
        layers.append(base.transform_filter("datum.outside").mark_text(dy=-10, fontSize=10).encode(text="outside:N"))
    return alt.layer(*layers).properties(width="container", height=_HEIGHT)


def _fences(values: pd.Series) -> tuple[float, float]:
    """Returns the lowest and highest value that a panel draws at its true place."""
    known = values[np.isfinite(values)]
    if known.empty:
        return -math.inf, math.inf
    low, middle, high = np.quantile(known, (0.25, 0.5, 0.75))
    margin = max(3 * (high - low), _SHARE_SHOWN * abs(middle))
    return float(low - margin), float(high + margin)
