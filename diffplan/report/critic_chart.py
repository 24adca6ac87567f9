"""Charts of a critic on held-out episodes: calibration at every noise level, errors, and how well it orders plans."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from diffplan.method.critic import CriticQuality
from diffplan.report.charts import COLOURS, PLAIN, reference_line, rounded

_NUM_BINS, _FEWEST_IN_BIN = 10, 5
_PANEL, _WIDE, _HEIGHT = 190, 315, 170


def critic_chart(
    quality: CriticQuality,
    values: Float[np.ndarray, "level window"],
    returns: Float[np.ndarray, " window"],
    episodes: Int[np.ndarray, " window"],
) -> alt.VConcatChart:
    """Draws the value promised against the return that followed, and below it error and ordering at each level.

    Args:
        quality: What was measured.
        values: Of the windows at each level of it.
        returns: What followed.
        episodes: A number for the episode of each window.
    """
    names = [_title(level.timestep) for level in quality.levels]
    bins = pd.DataFrame(
        [
            {"level": name, **row}
            for name, of_level in zip(names, values, strict=True)
            for row in _bins(of_level, returns, episodes)
        ]
    )
    subtitle = [
        f"{quality.num_windows:,} windows of {quality.num_episodes} held-out episodes; critic of step "
        f"{quality.step:,}; bars: 95 % interval of the mean over episodes",
        *_lines(quality.warning or "", 110),
    ]
    title = alt.Title("Value promised and return that followed", subtitle=subtitle)
    below = alt.hconcat(_error_chart(quality, names, returns), _ordering_chart(quality, names), spacing=40)
    return alt.vconcat(_calibration_chart(rounded(bins), names), below, spacing=24).properties(title=title)


def _bins(values: Any, returns: Any, episodes: Any) -> list[dict[str, float]]:
    """Groups windows of similar values; the return of each group has an interval, because episodes vary as a whole."""
    groups = np.array_split(np.argsort(values, kind="stable"), max(1, min(_NUM_BINS, len(values) // _FEWEST_IN_BIN)))
    rows = []
    for group in groups:
        mean = float(returns[group].mean())
        _, numbers = np.unique(episodes[group], return_inverse=True)
        deviations = np.bincount(numbers, returns[group] - mean)
        count = len(deviations)
        error = np.sqrt((deviations**2).sum() * count / (count - 1)) / len(group) if count > 1 else np.nan
        half = float(1.96 * error)
        rows.append({"value": float(values[group].mean()), "return": mean, "low": mean - half, "high": mean + half})
    return rows


def _calibration_chart(bins: pd.DataFrame, names: list[str]) -> alt.ConcatChart:
    numbers = bins[["value", "return", "low", "high"]].to_numpy()
    low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
    scale = alt.Scale(domain=[low, high] if high > low else [low - 1, high + 1], nice=False, padding=6)
    axis = alt.Axis(format=PLAIN, tickCount=4)
    panels = []
    for name in names:
        base = alt.Chart(bins[bins["level"] == name]).encode(
            x=alt.X("value:Q", title="value", scale=scale, axis=axis),
            y=alt.Y("return:Q", title="return", scale=scale, axis=axis),
        )
        ends = pd.DataFrame({"value": [low, high], "return": [low, high]})
        exact = alt.Chart(ends).mark_line(strokeDash=[5, 4], strokeWidth=1, color=COLOURS[7])
        exact = exact.encode(x=alt.X("value:Q", scale=scale), y=alt.Y("return:Q", scale=scale))
        spread = base.mark_rule(color=COLOURS[0]).encode(y=alt.Y("low:Q", title="return", scale=scale), y2="high:Q")
        line = base.mark_line(strokeWidth=1, opacity=0.5, color=COLOURS[0])
        panel = alt.layer(exact, spread, line, base.mark_point(size=40, color=COLOURS[0], opacity=1))
        panels.append(panel.properties(width=_PANEL, height=_PANEL, title=name))
    return alt.concat(*panels, columns=3, spacing=20)


def _error_chart(quality: CriticQuality, names: list[str], returns: Any) -> alt.LayerChart:
    rows = [{"level": n, "rmse": level.rmse, "r2": level.r2} for n, level in zip(names, quality.levels, strict=True)]
    base = alt.Chart(rounded(pd.DataFrame(rows))).encode(
        x=_level_axis(names),
        y=alt.Y("rmse:Q", title="root-mean-square error (reward)", axis=alt.Axis(format=PLAIN, tickCount=4)),
    )
    text = base.mark_text(baseline="bottom", dy=-4).encode(text=alt.Text("r2:Q", format=".2f"))
    bars = base.mark_bar(color=COLOURS[0], opacity=0.75, size=22)
    guess, _ = reference_line((float(np.std(returns)), ""), "y")
    title = alt.Title("Error, with R2; dashed: always the mean return", fontWeight="normal")
    return alt.layer(bars, guess, text).properties(width=_WIDE, height=_HEIGHT, title=title)


def _ordering_chart(quality: CriticQuality, names: list[str]) -> alt.LayerChart:
    rows = [
        {"level": name, "share": level.ordering, "low": level.ordering_low, "high": level.ordering_high}
        for name, level in zip(names, quality.levels, strict=True)
        if level.ordering is not None
    ]
    frame = pd.DataFrame(rows, columns=["level", "share", "low", "high"])
    form = alt.Axis(format=".0%", tickCount=5)
    least = min([0.3, *frame["low"]])
    scale = alt.Scale(domain=[least, 1], nice=False)
    base = alt.Chart(rounded(frame)).encode(
        x=_level_axis(names),
        y=alt.Y("share:Q", title="pairs ordered rightly", scale=scale, axis=form),
    )
    spread = base.mark_rule(color=COLOURS[1], strokeWidth=2).encode(y=alt.Y("low:Q", scale=scale), y2="high:Q")
    title = alt.Title("Order of plans of one state; dashed: chance", fontWeight="normal")
    points = base.mark_point(size=60, color=COLOURS[1], opacity=1)
    chance, _ = reference_line((0.5, ""), "y")
    return alt.layer(chance, spread, points).properties(width=_WIDE, height=_HEIGHT, title=title)


def _level_axis(names: list[str]) -> alt.X:
    return alt.X("level:N", sort=names, title=None, axis=alt.Axis(labelAngle=-30, labelOverlap=False))


def _title(timestep: int | None) -> str:
    return "clean" if timestep is None else f"timestep {timestep}"


def _lines(text: str, longest: int) -> list[str]:
    """Breaks a sentence where it would be wider than the picture."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) >= longest:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return [line for line in lines if line]
