"""Charts of numbers, described once as Vega-Lite and drawn by pages, W&B, PNG, SVG and PDF alike."""

import functools
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd

from diffplan.errors import ConfigError
from diffplan.files import write_atomically

COLOURS = ("#2563c4", "#c75a1e", "#2c8a57", "#9b3f97", "#1b8a99", "#a8821a", "#b3324d", "#5b6272",
           "#7a4a2b", "#d664a8", "#6f9a1d", "#1d2129")  # fmt: skip
FORMATS = ("png", "svg", "pdf")
# Of numbers on an axis; without digits, Vega would write 120 as 1.2e+2.
PLAIN = ".6~g"
_INK, _MUTED, _GRID, _PAPER = "#1d2129", "#6a7180", "#e6e7ea", "#ffffff"
_MOST_POINTS, _MOST_MARKERS = 500, 40
_DIGITS = 6
# Values whose labels come closer than this share of an axis would touch each other.
_LEAST_GAP, _WIDE_RANGE = 0.12, 20.0
_PIXELS_PER_INCH = 2.0


def chart_config(on_page: bool = False) -> dict[str, Any]:
    """Returns the look that all charts share.

    Args:
        on_page: Takes colours from the CSS variables of the page around the chart, so that they follow its dark mode.
    """
    ink, muted, grid = ("var(--ink)", "var(--muted)", "var(--grid)") if on_page else (_INK, _MUTED, _GRID)
    series = [f"var(--series-{number})" for number in range(1, len(COLOURS) + 1)] if on_page else list(COLOURS)
    font = "system-ui, 'DejaVu Sans', sans-serif" if on_page else "DejaVu Sans, Liberation Sans, sans-serif"
    text = {"labelColor": muted, "titleColor": muted, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": 400}
    lines = {"gridColor": grid, "domainColor": grid, "tickColor": grid}
    return {
        "background": "transparent" if on_page else _PAPER,
        "font": font,
        "view": {"stroke": None},
        "range": {"category": series},
        "axis": {**text, **lines, "labelOverlap": True, "labelSeparation": 6},
        "legend": {**text, "labelColor": ink, "labelLimit": 320, "orient": "bottom", "symbolOpacity": 1},
        "title": {"color": ink, "subtitleColor": muted, "anchor": "start", "fontSize": 13, "subtitleFontSize": 11},
        "rule": {"color": ink},
        "text": {"color": ink, "fontSize": 12},
        # Marks without a colour of their own, such as the ring around a baseline, have the ink's.
        "mark": {"color": ink},
        "point": {"filled": True},
    }


def save_chart(chart: alt.TopLevelMixin, path: Path) -> None:
    """Draws a chart into a file, without a display or a browser.

    Args:
        chart: The chart.
        path: PNG, SVG or PDF file to write, whole or not at all.

    Raises:
        ConfigError: Another kind of file is asked for.
    """
    # Imported here, because a page needs no renderer.
    import vl_convert

    kind = path.suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        raise ConfigError(f"A picture must be a .png, .svg or .pdf file, got {path.name!r}.")
    spec = chart_spec(chart) | {"config": chart_config()}
    options = {"scale": _PIXELS_PER_INCH} if kind == "png" else {}
    content = getattr(vl_convert, f"vegalite_to_{kind}")(spec, vl_version=_vega_lite_version(), **options)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.encode() if isinstance(content, str) else content)


def chart_spec(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """Returns a chart as the Vega-Lite specification that pages embed, without its look."""
    with alt.data_transformers.enable("default", max_rows=None):
        # Charts are checked by the tests; checking them again would take most of the time of a page.
        spec: dict[str, Any] = chart.to_dict(validate=False)
    # JSON has no name for a value that is missing, and browsers refuse the whole chart; NaN alone differs from itself.
    for rows in spec.get("datasets", {}).values():
        for row in rows:
            row.update({key: None for key, value in row.items() if value != value})
    return {key: value for key, value in spec.items() if key != "config"}


@functools.cache
def chart_script() -> str:
    """Returns the JavaScript that draws specifications in a page: Vega, Vega-Lite and Vega-Embed, about 0.9 MB."""
    import vl_convert

    return str(vl_convert.javascript_bundle(vl_version=_vega_lite_version()))  # type: ignore[call-arg]


def curve_chart(
    curves: pd.DataFrame,
    y_title: str,
    *,
    log: bool = False,
    reference: tuple[float, str] | None = None,
    height: int = 220,
) -> alt.LayerChart:
    """Draws values against training steps, a line a curve.

    Args:
        curves: Columns ``curve`` (its name), ``step``, ``value``. Optional are ``low`` and ``high`` (a band), ``raw``
            (drawn faintly behind a smoothed ``value``) and ``seed`` (lines of single training seeds, drawn thin).
        y_title: What the values are.
        log: Logarithmic value axis; values that are not positive are left out.
        reference: A value to compare with, drawn as a dashed line, and its label.
        height: Of the plot, in pixels.
    """
    data = _thinned(curves[curves["value"] > 0] if log else curves)
    names = list(data["curve"].unique())
    chosen = alt.selection_point(fields=["curve"], bind="legend", toggle="true")
    scale = alt.Scale(type="log", nice=False) if log else alt.Scale(zero=False)
    form = "~s" if data["value"].abs().max() >= 1e4 else PLAIN
    legend = alt.Legend(title=None, columns=1 if max(map(len, names), default=0) > 28 else 3)
    base = alt.Chart(data).encode(
        x=alt.X("step:Q", title="training step", axis=alt.Axis(format="~s", tickCount=5), scale=alt.Scale(nice=False)),
        y=alt.Y("value:Q", title=y_title, scale=scale, axis=alt.Axis(format=form, tickCount=5)),
        color=alt.Color("curve:N", sort=names, legend=legend if len(names) > 1 else None),
        opacity=opacity(chosen, 1.0, 0.07),
    )
    layers: list[alt.Chart] = []
    if {"low", "high"} <= set(data):
        band = base.mark_area().transform_filter("isValid(datum.low)")
        layers.append(band.encode(y=alt.Y("low:Q", title=y_title), y2="high:Q", opacity=opacity(chosen, 0.18, 0.02)))
    means = base
    if "seed" in data:
        means, shown = base.transform_filter("!isValid(datum.seed)"), tick_box("single training seeds")
        single = base.transform_filter(f"{shown.name} && isValid(datum.seed)").mark_line(strokeWidth=1)
        layers.append(single.encode(detail="seed:N", opacity=opacity(chosen, 0.35, 0.03)).add_params(shown))
    if "raw" in data:
        raw = base.mark_line(strokeWidth=1)
        layers.append(raw.encode(y=alt.Y("raw:Q", title=y_title), opacity=opacity(chosen, 0.3, 0.03)))
    layers.append(means.mark_line(strokeWidth=2))
    layers.append(_hovered(means, bool(data.groupby("curve").size().max() <= _MOST_MARKERS)))
    if reference is not None:
        # The label keeps away from where the first curve ends.
        last = data["value"][data["curve"] == names[0]].iloc[-1]
        layers += reference_line(reference, "y", is_before=bool(last < reference[0]))
    chart = alt.layer(*layers).add_params(chosen, _zoom())
    return chart.properties(width="container", height=height)


def opacity(parameter: alt.Parameter | str, chosen: float, others: float) -> Any:
    """Draws marks that a parameter chooses more or less opaque than the others."""
    return alt.when(parameter).then(alt.value(chosen)).otherwise(alt.value(others))


def tick_box(label: str) -> alt.Parameter:
    """Makes the box below a chart that shows and hides its training seeds."""
    return alt.param("seeds", bind=alt.binding_checkbox(name=label), value=True)


def _hovered(base: alt.Chart, always_visible: bool) -> alt.Chart:
    """Points with a tooltip; where there are many, only the one under the pointer is visible."""
    hover = alt.selection_point(on="pointerover", nearest=False, clear="pointerout", empty=False)
    tooltip = ["curve:N", alt.Tooltip("step:Q", format=","), alt.Tooltip("value:Q", format=".4~g")]
    points = base.mark_point(size=45).encode(tooltip=tooltip)
    return points.encode(opacity=opacity(hover, 1.0, 1.0 if always_visible else 0.0)).add_params(hover)


def _zoom() -> alt.Parameter:
    """Ctrl and the wheel zoom, dragging with the mouse moves, a double click resets; a finger scrolls the page."""
    drag = "[pointerdown[event.pointerType !== 'touch'], window:pointerup] > window:pointermove!"
    return alt.selection_interval(bind="scales", encodings=["x"], zoom="wheel![event.ctrlKey]", translate=drag)


def reference_line(reference: tuple[float, str], axis: str, is_before: bool = True) -> list[alt.Chart]:
    """Draws a dashed line at a value to compare with, and its label.

    Args:
        reference: The value and its label.
        axis: ``x`` or ``y``: the axis of the value.
        is_before: Whether the label stands above a level line, or left of an upright one.
    """
    base = alt.Chart(pd.DataFrame({"label": [reference[1]]})).encode(**{axis: alt.datum(reference[0])})
    if axis == "x":
        side: dict[str, Any] = {"align": "right", "dx": -5} if is_before else {"align": "left", "dx": 5}
        text = base.mark_text(baseline="bottom", **side).encode(y=alt.value(0))
    else:
        side = {"baseline": "bottom", "dy": -3} if is_before else {"baseline": "top", "dy": 4}
        text = base.mark_text(align="right", dx=-4, **side).encode(x=alt.value("width"))
    return [base.mark_rule(strokeDash=[5, 4]), text.encode(text="label:N")]


def smoothed(values: pd.Series, window: float | int) -> pd.Series:
    """Averages each value with those before it, older ones counting less.

    Args:
        values: Finite values.
        window: About how many values count, at least 1; 1 changes nothing.
    """
    return values.ewm(alpha=1 / max(window, 1.0)).mean()


def _thinned(curves: pd.DataFrame) -> pd.DataFrame:
    """Keeps the extremes of each stretch of a long curve, so that it looks the same and the page stays small."""
    parts = []
    lines = ["curve", "seed"] if "seed" in curves else ["curve"]
    for _, curve in curves.dropna(subset="value").groupby(lines, sort=False, dropna=False):
        if len(curve) > _MOST_POINTS:
            ordered = curve.reset_index(drop=True)
            stretch = ordered.groupby(ordered.index // -(-len(ordered) // (_MOST_POINTS // 2)))
            column = "raw" if "raw" in ordered else "value"
            curve = ordered.loc[sorted({*stretch[column].idxmin(), *stretch[column].idxmax()})]
        parts.append(curve)
    return rounded(pd.concat(parts) if parts else curves.iloc[:0])


def rounded(data: pd.DataFrame) -> pd.DataFrame:
    """Rounds numbers to six digits, which no eye tells apart and which halves a page's data."""
    numbers = data.select_dtypes("float").columns
    short = {name: [float(f"{value:.{_DIGITS}g}") for value in data[name]] for name in numbers}
    return data.assign(**short)


def axis_kind(values: Sequence[Any]) -> str:
    """Chooses how values of a setting are spaced, so that their labels do not touch.

    Returns:
        ``linear``, ``log``, ``ordinal`` for numbers that are only in order, or ``nominal`` for words.
    """
    if any(isinstance(value, bool) or not isinstance(value, (int, float)) for value in values):
        return "nominal"
    ordered = sorted({float(value) for value in values})
    if _has_room(ordered):
        return "linear"
    return "log" if ordered[0] > 0 and _has_room([math.log10(value) for value in ordered]) else "ordinal"


def _has_room(places: Sequence[float | int]) -> bool:
    gaps = [after - before for before, after in itertools.pairwise(places)]
    even = math.isclose(min(gaps, default=0.0), max(gaps, default=0.0))
    return even or min(gaps) >= _LEAST_GAP * (places[-1] - places[0])


def is_wide(values: Sequence[float]) -> bool:
    """Tells whether positive values span so much that they belong on a logarithmic axis."""
    return min(values) > 0 and max(values) / min(values) > _WIDE_RANGE


def _vega_lite_version() -> str:
    """The version that altair writes, in the renderer's words: ``6.1``."""
    return ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
