from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from diffplan.report.dashboard.dashboard_axis import DashboardAxis
from diffplan.report.dashboard.dashboard_chart import ChartPoint, colour_of

_WIDTH, _LEFT, _RIGHT = 520.0, 12.0, 508.0
_TOP, _ROW = 6.0, 44.0


@dataclass(frozen=True)
class DashboardForest:
    """Scores with intervals, one row a cell: for settings that are no numbers, or too many of them.

    Attributes:
        title: What is drawn; read out by screen readers.
        points: Cells in the order of rows; their x is not looked at.
        reference: A score to compare with, drawn as a dashed line, and its label.
    """

    title: str
    points: Sequence[ChartPoint]
    reference: tuple[float, str] | None = None

    def svg(self) -> Markup:
        """Returns the chart; empty where there is no point."""
        if not self.points:
            return Markup()
        scores = [score for point in self.points for score in (point.y, *point.interval, *point.dots)]
        if self.reference is not None:
            scores.append(self.reference[0])
        axis = DashboardAxis.of_quantity(scores, _LEFT, _RIGHT)
        bottom = _TOP + _ROW * len(self.points)
        parts = [_grid_line(axis.pixel(tick), bottom, f"{tick:.4g}") for tick in axis.ticks()]
        height = bottom + 24
        if self.reference is not None:
            height += 20
            parts.append(_reference_line(axis.pixel(self.reference[0]), bottom, self.reference[1]))
        for row, point in enumerate(self.points):
            parts += _draw(point, _TOP + _ROW * row, axis)
        described = "; ".join(point.label for point in self.points)
        head = (
            f'<svg viewBox="0 0 {_WIDTH:g} {height:g}" role="img" aria-label="{escape(f"{self.title}: {described}")}">'
        )
        return Markup(head + "".join(parts) + "</svg>")


def _draw(point: ChartPoint, top: float, axis: DashboardAxis) -> list[str]:
    colour, y = colour_of(point.series), top + 31
    low, high = (axis.pixel(end) for end in point.interval)
    caps = "".join(
        f'<line x1="{end:.1f}" x2="{end:.1f}" y1="{y - 4:g}" y2="{y + 4:g}" stroke="{colour}" stroke-width="2"/>'
        for end in (low, high)
    )
    dots = [
        f'<circle cx="{axis.pixel(dot):.1f}" cy="{y + 8:g}" r="2.2" fill="none" stroke="{colour}"/>'
        for dot in point.dots
    ]
    circle = f'<circle cx="{axis.pixel(point.y):.1f}" cy="{y:g}" r="4.5" fill="{colour}">'
    return [
        f'<text x="{_LEFT:g}" y="{top + 17:g}" class="note">{escape(point.mark or point.label)}</text>',
        f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y:g}" y2="{y:g}" stroke="{colour}" stroke-width="2"/>{caps}',
        *dots,
        f"{circle}<title>{escape(point.label)}</title></circle>",
    ]


def _grid_line(x: float, bottom: float, label: str) -> str:
    line = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP:g}" y2="{bottom:g}" stroke="var(--grid)"/>'
    return line + f'<text x="{x:.1f}" y="{bottom + 17:g}" text-anchor="middle">{label}</text>'


def _reference_line(x: float, bottom: float, label: str) -> str:
    style = 'stroke="var(--ink)" stroke-dasharray="5 4"'
    line = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP:g}" y2="{bottom:g}" {style}/>'
    anchor = "end" if x > _WIDTH / 2 else "start"
    return line + f'<text x="{x:.1f}" y="{bottom + 38:g}" text-anchor="{anchor}" class="note">{escape(label)}</text>'
