"""The check of guidance in files: Markdown, CSV, a picture a protocol and a page of charts."""

import math
from collections.abc import Sequence
from pathlib import Path

import altair as alt
import pandas as pd

from diffplan.report.cell_report import ProtocolCharts, write_comparison
from diffplan.report.charts import PLAIN, rounded
from diffplan.report.guidance_check import Choice, GuidanceCell, guidance_table, judge, unguided
from diffplan.terminal import markdown_text

_HEIGHT, _WIDTH = 230, 560
# Shapes tell lines apart where colours cannot be seen.
_SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
_SCORE = "normalised score"
_KEY = "Bars and the band are one standard error; a circle marks how the planner is set."
# Columns of the table by title of the panel and of its axis.
_PANELS = {
    "Score": ("score_mean", _SCORE),
    "Drift from the data": ("drift", "distance, standard deviations"),
    "Episodes that ended in a fall": ("falls", "share of episodes"),
}


def write_guidance(
    cells: Sequence[GuidanceCell], refused: Sequence[str], without_drift: str, own: Choice, title: str, folder: Path
) -> dict[str, Path]:
    """Writes the check into a folder.

    Args:
        cells: At least one; all protocols.
        refused: One sentence for each cell that could not be played.
        without_drift: Why the drift from the data could not be measured; empty if it was.
        own: Guide scale and number of candidates that the planner is set to.
        title: Which model planned.
        folder: Folder to write into.

    Returns:
        The files: ``markdown``, ``csv``, ``page``, and the picture of each protocol by its name.
    """
    charts, lines = {}, []
    for protocol in dict.fromkeys(cell.protocol for cell in cells):
        played = [cell for cell in cells if cell.protocol == protocol]
        panels, sentence = guidance_charts(played, own), judge(played, own).sentence
        lines.append(sentence)
        note = f"{sentence} {_KEY}"
        charts[protocol] = ProtocolCharts(panels, panels, note, _WIDTH, columns=1)
    text, table = guidance_markdown(cells, refused, without_drift, own), guidance_table(cells, own)
    lines.append(f"{_episodes(cells)}. {_KEY}")
    return write_comparison("guidance", f"Guidance of {title}", lines, text, table, charts, folder)


def guidance_markdown(cells: Sequence[GuidanceCell], refused: Sequence[str], without_drift: str, own: Choice) -> str:
    """Writes, for every protocol, the verdict and a table with one row a cell; arguments as ``write_guidance``."""
    parts = []
    for protocol in dict.fromkeys(cell.protocol for cell in cells):
        played = [cell for cell in cells if cell.protocol == protocol]
        parts += [
            f"## {markdown_text(protocol)}",
            f"**{markdown_text(judge(played, own).sentence)}**",
            f"{_episodes(played)}. The interval is of the mean difference to no guide, episode by episode. A guide of "
            "0 chooses among candidates and follows no gradient. The row in bold is how the planner is set.",
            _rows(guidance_table(played, own), played),
        ]
        data_drift = next((cell.data_drift for cell in played if cell.data_drift is not None), None)
        if data_drift is not None:
            parts.append(
                "Drift is the distance of the executed plans' observations to the nearest window of the data, in "
                f"standard deviations of the data (root mean square). Windows of held-back episodes have "
                f"{data_drift:.3g}, which is normal."
            )
    if without_drift:
        parts.append(f"The drift from the data is left out: {markdown_text(without_drift)}")
    if refused:
        parts += ["Not played:", "\n".join(f"- {markdown_text(sentence)}" for sentence in refused)]
    return "\n\n".join(parts) + "\n"


def guidance_charts(cells: Sequence[GuidanceCell], own: Choice) -> dict[str, alt.LayerChart]:
    """Draws score, drift and falls against the guide's scale, a line for each number of candidates.

    Args:
        cells: Of one protocol; at least one.
        own: Guide scale and number of candidates that the planner is set to.

    Returns:
        Panels by title; what was not measured has none.
    """
    table, reference = guidance_table(cells, own), unguided(cells)
    panels = {}
    for title, (column, axis) in _PANELS.items():
        guided = table[table["guide_scale"].notna()].dropna(subset=column)
        if guided.empty:
            continue
        plain = table[table["guide_scale"].isna()][column].dropna()
        level = None if plain.empty else float(plain.iloc[0])
        error = reference.standard_error if column == "score_mean" and reference is not None else 0.0
        layers = [] if level is None else _level(level, error, "no guide")
        if column == "drift" and guided["data_drift"].notna().any():
            layers += _level(float(guided["data_drift"].iloc[0]), 0.0, "held-back data", is_left=True)
        lines = _lines(guided, column, axis)
        panels[title] = alt.layer(*layers, *lines).properties(width="container", height=_HEIGHT)
    return panels


def _lines(table: pd.DataFrame, column: str, axis: str) -> list[alt.Chart]:
    """Draws one line for each number of candidates; scales stand at equal distances, so that 0 has a place."""
    error = table["score_stderr"] if column == "score_mean" else math.nan
    names = [f"{number}" for number in sorted(table["candidates"].unique())]
    data = rounded(
        pd.DataFrame(
            {
                "scale": [f"{scale:g}" for scale in table["guide_scale"]],
                "candidates": table["candidates"].astype(str), "value": table[column].astype(float),
                "low": table[column] - error, "high": table[column] + error, "is_own": table["is_own"],
            }
        )
    )  # fmt: skip
    scales = [f"{scale:g}" for scale in sorted(table["guide_scale"].unique())]
    legend = alt.Legend(title="candidates", columns=6, symbolSize=60)
    base = alt.Chart(data).encode(
        x=alt.X(
            "scale:O", title="guide scale (0: no gradient)", sort=scales, scale=_spaced(), axis=alt.Axis(labelAngle=0)
        ),
        y=alt.Y(
            "value:Q", title=axis, scale=alt.Scale(zero=column == "falls"), axis=alt.Axis(tickCount=5, format=PLAIN)
        ),
        color=alt.Color("candidates:N", sort=names, legend=legend),
    )
    shapes = alt.Scale(range=[_SHAPES[number % len(_SHAPES)] for number in range(len(names))])
    tooltip = ["scale:O", "candidates:N", alt.Tooltip("value:Q", title=axis, format=".4~g")]
    shape = alt.Shape("candidates:N", sort=names, scale=shapes, legend=None)
    layers = [base.mark_line(strokeWidth=1.4)]
    if data["low"].notna().any():
        layers.append(base.mark_rule(strokeWidth=1).encode(y=alt.Y("low:Q", title=axis), y2="high:Q"))
    layers.append(base.mark_point(size=50).encode(shape=shape, tooltip=tooltip))
    own = base.transform_filter("datum.is_own")
    layers.append(own.mark_point(size=190, filled=False, strokeWidth=1.6, shape="circle").encode(tooltip=tooltip))
    return layers


def _spaced() -> alt.Scale:
    return alt.Scale(type="point", padding=0.5)


def _level(value: float, error: float, label: str, is_left: bool = False) -> list[alt.Chart]:
    """Draws a dashed line over the whole width, with a band of its error and a label at its left or right end."""
    data = rounded(pd.DataFrame({"value": [value], "low": [value - error], "high": [value + error], "label": [label]}))
    base = alt.Chart(data).encode(y="value:Q")
    layers = [base.mark_rule(strokeDash=[5, 4])]
    if error:
        layers.insert(0, alt.Chart(data).mark_rect(opacity=0.12).encode(y="low:Q", y2="high:Q"))
    side = {"align": "left", "baseline": "top", "dx": 4} if is_left else {"align": "right", "dx": -4}
    end = alt.value(0 if is_left else "width")
    text = base.mark_text(**{"baseline": "bottom", "dy": 4 if is_left else -3, **side}).encode(x=end, text="label:N")
    return [*layers, text]


def _rows(table: pd.DataFrame, cells: Sequence[GuidanceCell]) -> str:
    rows = []
    for played, (_, cell) in zip(cells, table.iterrows(), strict=True):
        is_plain = pd.isna(cell["guide_scale"])
        gain = "" if is_plain else f"{cell['gain']:+.1f} [{cell['gain_low']:.1f}, {cell['gain_high']:.1f}]"
        row = {
            "guide scale": "no guide" if is_plain else f"{cell['guide_scale']:g}",
            "candidates": f"{cell['candidates']}",
            "score": played.score_text,
            "against no guide": gain,
            "length": f"{cell['length_mean']:.0f}",
            "falls": f"{100 * cell['falls']:.0f} %",
            "drift": _text(cell["drift"], ".3g"),
            "value promised": _text(cell["value_mean"], ".1f"),
            "return that followed": _text(cell["return_mean"], ".1f"),
            "correlation": _text(cell["value_correlation"], ".2f"),
            "GFLOP a decision": _text(cell["decision_gflop"], ".3g"),
            "CPU ms a decision": f"{1e3 * cell['decision_cpu_seconds']:.3g}",
        }
        rows.append({name: f"**{text}**" if cell["is_own"] and text else text for name, text in row.items()})
    shown = pd.DataFrame(rows)
    # What no cell has is left out.
    shown = shown[[name for name in shown if shown[name].str.len().any()]]
    return shown.to_markdown(index=False, tablefmt="pipe", disable_numparse=True)


def _text(value: float | None, form: str) -> str:
    return "" if value is None or pd.isna(value) else f"{value:{form}}"


def _episodes(cells: Sequence[GuidanceCell]) -> str:
    count = len(cells[0].scores)
    return f"Scores are means ± one standard error over {count} episode{'s' * (count != 1)} with equal seeds"
