"""Which curves of a run are drawn, in which order."""

from dataclasses import dataclass

from markupsafe import Markup

from diffplan.report.curve import Curve
from diffplan.report.curve_chart import CurveChart
from diffplan.report.run_page.protocol_summary import ProtocolSummary
from diffplan.report.run_record import RunRecord

_LOSS, _SPEED = "train/loss", "train/steps_per_second"
_HIDDEN = ("epoch",)


@dataclass(frozen=True)
class DrawnChart:
    """A chart ready for the page.

    Attributes:
        title: Heading.
        legend: Names of its curves; empty where the heading says it.
        svg: The picture.
        main: False where the chart belongs among the further ones.
    """

    title: str
    legend: list[str]
    svg: Markup
    main: bool


def run_charts(record: RunRecord, protocols: list[str]) -> list[DrawnChart]:
    """Draws the loss, the scores over training, the speed, and after them every other number that changed.

    Args:
        record: The run.
        protocols: Evaluation protocols to draw scores of.
    """
    charts = [_chart("Training loss (log)", [_curve(record, _LOSS, "loss", smooth=True)], log_scale=True)]
    used = {_LOSS, _SPEED}
    for summary in (s for s in ProtocolSummary.of_run(record) if s.protocol in protocols):
        prefix = f"eval/{summary.protocol}/"
        curves = [
            _curve(record, f"{prefix}normalized_score_mean", "score", spread=f"{prefix}normalized_score_stderr"),
            _curve(record, f"{prefix}latched_score_mean", "latched score", spread=f"{prefix}latched_score_stderr"),
        ]
        reference = (summary.paper[0], f"paper {summary.paper_text}") if summary.paper else None
        charts.append(_chart(f"{summary.title}: score over training", curves, reference=reference))
        used |= {key for row in record.metrics.values() for key in row if key.startswith(f"{prefix}normalized_score_")}
        used |= {key for row in record.metrics.values() for key in row if key.startswith(f"{prefix}latched_score_")}
    charts.append(_chart("Training steps per second", [_curve(record, _SPEED, "steps per second", smooth=True)]))
    keys = {key for row in record.metrics.values() for key in row} - used - set(_HIDDEN)
    charts += [_chart(key, [_curve(record, key, key)], main=False) for key in sorted(keys)]
    return [chart for chart in charts if chart.svg]


def _curve(record: RunRecord, key: str, label: str, *, spread: str | None = None, smooth: bool = False) -> Curve:
    steps, values = record.series(key)
    spreads = [record.metrics[step].get(spread, 0.0) for step in steps] if spread else None
    return Curve(label=label, steps=steps, values=values, spreads=spreads, smooth=smooth)


def _chart(
    title: str,
    curves: list[Curve],
    *,
    log_scale: bool = False,
    reference: tuple[float, str] | None = None,
    main: bool = True,
) -> DrawnChart:
    # One point is no curve: the tiles show it.
    shown = [curve for curve in curves if len(curve.finite()) >= 2]
    svg = CurveChart(title=title, curves=shown, log_scale=log_scale, reference=reference).svg()
    return DrawnChart(title, [curve.label for curve in shown] if len(shown) > 1 else [], svg, main)
