"""A chart as an SVG element that takes its colours from the page around it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from diffplan.report.curve import Curve, running_mean

_WIDTH, _HEIGHT = 520.0, 250.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 54.0, 508.0, 10.0, 222.0
_MOST_POINTS = 500
_MOST_MARKERS = 40


@dataclass(frozen=True)
class CurveChart:
    """Curves over training steps, on one pair of axes.

    Colours are the page's CSS variables ``--ink``, ``--muted``, ``--grid`` and ``--series-1`` onwards.

    Attributes:
        title: What is drawn; read out by screen readers.
        curves: Lines, at most as many as the page has series colours.
        log_scale: Logarithmic value axis; values that are not positive are left out.
        reference: A value to compare with, drawn as a dashed line, and its label.
    """

    title: str
    curves: Sequence[Curve]
    log_scale: bool = False
    reference: tuple[float, str] | None = None

    def svg(self) -> Markup:
        """Returns the chart; empty where no curve has a value."""
        points = [point for curve in self.curves for point in self._drawable(curve)]
        if not points:
            return Markup()
        low_step, high_step = (float(end([step for step, _ in points])) for end in (min, max))
        low, high = self._value_range(points)
        x_ticks = _linear_ticks(low_step, high_step, 5)
        y_ticks = _log_ticks(low, high) if self.log_scale else _linear_ticks(low, high, 5)
        scale = _Scale(low_step, high_step, self._place(low), self._place(high))
        parts = [_grid_line(scale.y(self._place(tick)), _short(tick)) for tick in y_ticks]
        parts += [_step_label(scale.x(tick), _short(tick)) for tick in x_ticks]
        if self.reference is not None:
            above = points[-1][1] < self.reference[0]  # The label keeps away from where the curve ends.
            parts.append(_reference_line(scale.y(self._place(self.reference[0])), self.reference[1], above=above))
        for number, curve in enumerate(self.curves, start=1):
            parts += self._draw(curve, number, scale)
        head = f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" aria-label="{escape(self.title)}">'
        return Markup(head + "".join(parts) + "</svg>")

    def _place(self, value: float) -> float:
        return math.log10(value) if self.log_scale else value

    def _drawable(self, curve: Curve) -> list[tuple[int, float]]:
        return [(step, value) for step, value in curve.finite() if value > 0 or not self.log_scale]

    def _value_range(self, points: list[tuple[int, float]]) -> tuple[float, float]:
        values = [value for _, value in points]
        for curve in self.curves:
            if curve.spreads is not None and not self.log_scale:
                pairs = zip(curve.values, curve.spreads, strict=True)
                edges = [edge for value, spread in pairs for edge in (value - spread, value + spread)]
                values += [edge for edge in edges if math.isfinite(edge)]
        if self.reference is not None:
            values.append(self.reference[0])
        low, high = min(values), max(values)
        if self.log_scale:
            return (low, high) if high > low * 1.5 else (low / 1.5, high * 1.5)
        margin = 0.06 * (high - low) or abs(high) * 0.1 or 1.0
        # A quantity that is never negative keeps its zero when it comes near.
        return (0.0 if 0.0 <= low < 0.3 * high else low - margin), high + margin

    def _draw(self, curve: Curve, number: int, scale: "_Scale") -> list[str]:
        points = [(step, self._place(value)) for step, value in self._drawable(curve)]
        if not points:
            return []
        colour = f"var(--series-{number})"
        parts = []
        if curve.spreads is not None and not self.log_scale:
            parts.append(_band(curve, colour, scale))
        if curve.smooth and len(points) > 4:
            means = running_mean([value for _, value in points], len(points) / 50)
            smoothed = [(step, mean) for (step, _), mean in zip(points, means, strict=True)]
            parts.append(_line(_thin_out(points), f'stroke="{colour}" stroke-width="1" opacity="0.3"', scale))
            points = _thin_out(smoothed)
        parts.append(_line(_thin_out(points), f'stroke="{colour}" stroke-width="2"', scale))
        if len(points) <= _MOST_MARKERS:
            parts += [self._marker(curve, step, place, colour, scale) for step, place in points]
        return parts

    def _marker(self, curve: Curve, step: int, place: float, colour: str, scale: "_Scale") -> str:
        value = 10**place if self.log_scale else place
        note = escape(f"{curve.label}: {value:.4g} at step {step:,}")
        circle = f'<circle cx="{scale.x(step):.1f}" cy="{scale.y(place):.1f}" r="3" fill="{colour}">'
        return f"{circle}<title>{note}</title></circle>"


@dataclass(frozen=True)
class _Scale:
    low_step: float
    high_step: float
    low: float
    high: float

    def x(self, step: float | int) -> float:
        width = self.high_step - self.low_step
        return _LEFT + (_RIGHT - _LEFT) * ((step - self.low_step) / width if width else 0.5)

    def y(self, place: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * (place - self.low) / (self.high - self.low)


def _line(points: list[tuple[int, float]], style: str, scale: _Scale) -> str:
    path = " ".join(f"{scale.x(step):.1f},{scale.y(place):.1f}" for step, place in points)
    return f'<polyline points="{path}" fill="none" stroke-linejoin="round" {style}/>'


def _band(curve: Curve, colour: str, scale: _Scale) -> str:
    triples = zip(curve.steps, curve.values, curve.spreads or (), strict=True)
    known = [(s, v, w) for s, v, w in triples if math.isfinite(v) and math.isfinite(w)]
    upper = [f"{scale.x(s):.1f},{scale.y(v + w):.1f}" for s, v, w in known]
    lower = [f"{scale.x(s):.1f},{scale.y(v - w):.1f}" for s, v, w in reversed(known)]
    return f'<polygon points="{" ".join(upper + lower)}" fill="{colour}" opacity="0.18"/>'


def _grid_line(y: float, label: str) -> str:
    line = f'<line x1="{_LEFT:g}" x2="{_RIGHT:g}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--grid)"/>'
    return line + f'<text x="{_LEFT - 7:g}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'


def _step_label(x: float, label: str) -> str:
    return f'<text x="{x:.1f}" y="{_BOTTOM + 19:g}" text-anchor="middle">{label}</text>'


def _reference_line(y: float, label: str, *, above: bool) -> str:
    style = 'stroke="var(--ink)" stroke-dasharray="5 4"'
    line = f'<line x1="{_LEFT:g}" x2="{_RIGHT:g}" y1="{y:.1f}" y2="{y:.1f}" {style}/>'
    text_y = y - 6 if above else y + 15
    return line + f'<text x="{_RIGHT - 4:g}" y="{text_y:.1f}" text-anchor="end" class="note">{escape(label)}</text>'


def _thin_out(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Keeps the extremes of each stretch, so that a long curve looks the same and the page stays small."""
    if len(points) <= _MOST_POINTS:
        return points
    size = -(-len(points) // (_MOST_POINTS // 2))
    kept = []
    for first in range(0, len(points), size):
        stretch = points[first : first + size]
        kept += sorted({min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1])})
    return kept


def _linear_ticks(low: float, high: float, most: int) -> list[float]:
    if high <= low:
        return [low]
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    step *= next((factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= most), 10)
    return [index * step for index in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5)):
        ticks = [factor * 10.0**decade for decade in decades for factor in factors]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= 3:
            return ticks[:: -(-len(ticks) // 6)]
    return ticks or [low, high]


def _short(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}" if value == 0 or abs(value) >= 1e-3 else f"{value:.1e}".replace("e-0", "e-")
