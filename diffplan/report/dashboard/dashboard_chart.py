"""Scores with their intervals against a number, as an SVG element that takes its colours from the page around it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

from diffplan.report.dashboard.dashboard_axis import DashboardAxis

_WIDTH, _HEIGHT = 520.0, 274.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 54.0, 508.0, 12.0, 222.0
_NUM_COLOURS = 8


@dataclass(frozen=True)
class ChartPoint:
    """One cell.

    Attributes:
        x: Value of the setting, or cost.
        y: Score.
        interval: Lower and upper end.
        dots: Score of each training seed.
        label: What it is, read out and shown when pointed at.
        mark: Short text beside it; empty for none.
        series: Number of its colour and line, from 1.
    """

    x: float
    y: float
    interval: tuple[float, float]
    dots: tuple[float, ...]
    label: str
    mark: str = ""
    series: int = 1


@dataclass(frozen=True)
class DashboardChart:
    """Points with intervals, on one pair of axes.

    Attributes:
        title: What is drawn; read out by screen readers.
        x_label: Under the horizontal axis.
        points: Finite ones.
        is_setting: Each value of x gets its tick, and the points of a series are joined.
        reference: A score to compare with, drawn as a dashed line, and its label.
    """

    title: str
    x_label: str
    points: Sequence[ChartPoint]
    is_setting: bool
    reference: tuple[float, str] | None = None

    def svg(self) -> Markup:
        """Returns the chart; empty where there is no point."""
        if not self.points:
            return Markup()
        xs = [point.x for point in self.points]
        scores = [score for point in self.points for score in (point.y, *point.interval, *point.dots)]
        if self.reference is not None:
            scores.append(self.reference[0])
        x_axis = (
            DashboardAxis.of_settings(xs, _LEFT, _RIGHT)
            if self.is_setting
            else DashboardAxis.of_quantity(xs, _LEFT, _RIGHT, may_be_log=True)
        )
        y_axis = DashboardAxis.of_quantity(scores, _BOTTOM, _TOP)
        parts = [_grid_line(y_axis.pixel(tick), f"{tick:.4g}") for tick in y_axis.ticks()]
        parts += [_tick(x_axis.pixel(tick), f"{tick:.4g}") for tick in x_axis.ticks()]
        note = f" ({x_axis.note})" if x_axis.note else ""
        middle = (_LEFT + _RIGHT) / 2
        parts.append(f'<text x="{middle:g}" y="264" text-anchor="middle">{escape(self.x_label)}{note}</text>')
        if self.reference is not None:
            parts.append(_reference_line(y_axis.pixel(self.reference[0]), self.reference[1]))
        series = sorted({point.series for point in self.points})
        for number in series:
            points = sorted((point for point in self.points if point.series == number), key=lambda point: point.x)
            shift = 9.0 * (series.index(number) - (len(series) - 1) / 2) if self.is_setting else 0.0
            places = [(x_axis.pixel(point.x) + shift, y_axis.pixel(point.y)) for point in points]
            parts += self._draw(points, places, y_axis)
        described = "; ".join(point.label for point in self.points)
        head = (
            f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" aria-label="{escape(f"{self.title}: {described}")}">'
        )
        return Markup(head + "".join(parts) + "</svg>")

    def _draw(self, points: list[ChartPoint], places: list[tuple[float, float]], y_axis: DashboardAxis) -> list[str]:
        colour = colour_of(points[0].series)
        parts = []
        if self.is_setting:
            lines = (
                f'<line x1="{a:.1f}" y1="{b:.1f}" x2="{c:.1f}" y2="{d:.1f}"' for (a, b), (c, d) in pairwise(places)
            )
            parts += [f'{line} stroke="{colour}" stroke-width="1.5" opacity="0.55"/>' for line in lines]
        for point, (x, y) in zip(points, places, strict=True):
            low, high = (y_axis.pixel(end) for end in point.interval)
            parts.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="{colour}" stroke-width="2"/>'
            )
            parts += [_cap(x, end, colour) for end in (low, high)]
            parts += [
                f'<circle cx="{x + 7:.1f}" cy="{y_axis.pixel(dot):.1f}" r="2.2" fill="none" stroke="{colour}"/>'
                for dot in point.dots
            ]
            circle = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}">'
            parts.append(f"{circle}<title>{escape(point.label)}</title></circle>")
            if point.mark:
                side, anchor = (-8, "end") if x > (_LEFT + _RIGHT) / 2 else (12, "start")
                place = f'x="{x + side:.1f}" y="{y - 6:.1f}" text-anchor="{anchor}"'
                parts.append(f'<text {place} class="note">{escape(point.mark)}</text>')
        return parts


def colour_of(number: int) -> str:
    """The page's colour of a series or a cell, counted from 1; they come round again after the eighth."""
    return f"var(--series-{(number - 1) % _NUM_COLOURS + 1})"


def _cap(x: float, y: float, colour: str) -> str:
    return f'<line x1="{x - 4:.1f}" x2="{x + 4:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="{colour}" stroke-width="2"/>'


def _grid_line(y: float, label: str) -> str:
    line = f'<line x1="{_LEFT:g}" x2="{_RIGHT:g}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--grid)"/>'
    return line + f'<text x="{_LEFT - 7:g}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'


def _tick(x: float, label: str) -> str:
    return f'<text x="{x:.1f}" y="{_BOTTOM + 20:g}" text-anchor="middle">{label}</text>'


def _reference_line(y: float, label: str) -> str:
    style = 'stroke="var(--ink)" stroke-dasharray="5 4"'
    line = f'<line x1="{_LEFT:g}" x2="{_RIGHT:g}" y1="{y:.1f}" y2="{y:.1f}" {style}/>'
    return line + f'<text x="{_LEFT + 4:g}" y="{y - 6:.1f}" class="note">{escape(label)}</text>'
