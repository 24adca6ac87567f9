"""Which charts a board gets, and what is said where one is absent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from diffplan.report.curve_chart import CurveChart
from diffplan.report.dashboard.dashboard_board import DashboardBoard, DashboardCell
from diffplan.report.dashboard.dashboard_chart import ChartPoint, DashboardChart
from diffplan.report.dashboard.dashboard_curves import seed_curve
from diffplan.report.dashboard.dashboard_forest import DashboardForest
from diffplan.report.run_record import RunRecord
from diffplan.report.table.ablation import Value, value_text

MOST_CURVES = 8
_SCORE, _LOSS = "eval/{protocol}/normalized_score_mean", "train/loss"
_SAME_COST = 1.05
_MOST_SETTINGS = 2
_MOST_LETTERS = 46
_INTERVAL_NOTE = "Mean with its 95 % interval; small rings are the training seeds."


@dataclass(frozen=True)
class DashboardFigure:
    """A chart ready for the page.

    Attributes:
        title: Heading.
        legend: Number of the colour and name of each line.
        svg: The picture; empty where there is none.
        note: What it shows, or why there is none.
    """

    title: str
    legend: list[tuple[int, str]]
    svg: Markup
    note: str


def score_figure(board: DashboardBoard) -> DashboardFigure:
    """Score against the varied setting: along an axis where it is a number, row by row otherwise."""
    title = f"Score against {' and '.join(board.settings)}" if board.settings else "Score"
    reference = None if board.paper is None else (board.paper, f"paper {board.paper:g}, on D4RL data")
    axis = _axis(board)
    if axis is None:
        points = [_point(cell, 0.0, cell.number, _row_name(cell)) for cell in board.cells]
        return DashboardFigure(title, [], DashboardForest(title, points, reference).svg(), _INTERVAL_NOTE)
    lines = _lines(board, axis)
    points = [
        _point(cell, float(str(cell.found.values[axis])), number)
        for number, cells in enumerate(lines.values(), start=1)
        for cell in cells
    ]
    svg = DashboardChart(title, board.settings[axis], points, is_setting=True, reference=reference).svg()
    return DashboardFigure(title, _legend(lines), svg, _INTERVAL_NOTE)


def cost_figure(board: DashboardBoard) -> DashboardFigure:
    """Score against what a decision costs: in operations where every cell counts them, in processor time otherwise."""
    title = "Score against the cost of a decision"
    costs, unit = _costs(board.cells)
    if max(costs.values()) <= min(costs.values()) * _SAME_COST:
        note = f"A decision costs the same in every cell: {next(iter(costs.values())):.3g} {unit}."
        return DashboardFigure(title, [], Markup(), note)
    axis = _axis(board)
    if axis is None:
        points = [_point(cell, costs[cell.number], cell.number, str(cell.number)) for cell in board.cells]
        legend, marks = [], "numbers are the cells of the table"
    else:
        lines = _lines(board, axis)
        points = [
            _point(cell, costs[cell.number], number, value_text(cell.found.values[axis]))
            for number, cells in enumerate(lines.values(), start=1)
            for cell in cells
        ]
        legend, marks = _legend(lines), f"numbers are {board.settings[axis]}"
    svg = DashboardChart(title, f"{unit} for one environment step", points, is_setting=False).svg()
    return DashboardFigure(title, legend, svg, f"{_INTERVAL_NOTE[:-1]}; {marks}.")


def learning_figures(
    board: DashboardBoard, records: Mapping[int, Sequence[RunRecord]], key: str
) -> list[DashboardFigure]:
    """Curves over training, one line a cell, at most eight lines a chart.

    Args:
        board: The board.
        records: Runs of each cell, by its number.
        key: ``score`` or ``loss``.
    """
    title = "Score over training" if key == "score" else "Training loss (log)"
    metric = _SCORE.format(protocol=board.protocol) if key == "score" else _LOSS
    curves = [(cell, seed_curve(records[cell.number], metric, cell.label, key == "loss")) for cell in board.cells]
    drawn = [(cell, curve) for cell, curve in curves if curve is not None]
    note = "Mean over training seeds" + ("; the band is one standard error over them." if key == "score" else ".")
    if not drawn:
        reason = "evaluated once" if key == "score" else "trained by other runs, or without a log in these folders"
        return [DashboardFigure(title, [], Markup(), f"No curve: these runs were {reason}.")]
    figures = []
    for first in range(0, len(drawn), MOST_CURVES):
        part = drawn[first : first + MOST_CURVES]
        several = f", cells {part[0][0].number} to {part[-1][0].number}" if len(drawn) > MOST_CURVES else ""
        legend = [(number, f"{cell.number} {cell.label}") for number, (cell, _) in enumerate(part, start=1)]
        svg = CurveChart(title=title, curves=[curve for _, curve in part], log_scale=key == "loss").svg()
        figures.append(DashboardFigure(title + several, legend, svg, note))
    return figures


def _point(cell: DashboardCell, x: float, series: int, mark: str = "") -> ChartPoint:
    found = cell.found.statistics
    low, high = found.mean_interval
    label = f"{cell.label}: {found.mean:.1f} [{low:.1f}, {high:.1f}], {found.count_text}"
    return ChartPoint(x, found.mean, found.mean_interval, tuple(found.seed_means.values()), label, mark, series)


def _axis(board: DashboardBoard) -> int | None:
    """Which setting lies on the axis: the numeric one with most values; None where there is none or too many vary."""
    values = [[cell.found.values[index] for cell in board.cells] for index in range(len(board.settings))]
    numeric = [index for index, column in enumerate(values) if all(map(_is_number, column))]
    if len(board.settings) > _MOST_SETTINGS or not numeric:
        return None
    return max(numeric, key=lambda index: len(set(values[index])))


def _lines(board: DashboardBoard, axis: int) -> dict[str, list[DashboardCell]]:
    """Cells that differ in the setting of the axis alone, by what they share."""
    lines: dict[str, list[DashboardCell]] = {}
    for cell in board.cells:
        shared = [
            f"{name}={value_text(value)}"
            for index, (name, value) in enumerate(zip(board.settings, cell.found.values, strict=True))
            if index != axis
        ]
        lines.setdefault(", ".join(shared), []).append(cell)
    return lines


def _row_name(cell: DashboardCell) -> str:
    """Number and values, as long as a row has room."""
    values = " · ".join(value_text(value) for value in cell.found.values) or cell.label
    name = f"{cell.number}  {values}"
    return name if len(name) <= _MOST_LETTERS else f"{name[: _MOST_LETTERS - 1]}…"


def _legend(lines: Mapping[str, Sequence[DashboardCell]]) -> list[tuple[int, str]]:
    return list(enumerate(lines, start=1)) if len(lines) > 1 else []


def _is_number(value: Value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _costs(cells: Sequence[DashboardCell]) -> tuple[dict[int, float], str]:
    """Cost of each cell by its number, and its unit."""
    gflop = {cell.number: cell.found.pool.decision_gflop for cell in cells}
    counted = {number: cost for number, cost in gflop.items() if cost is not None}
    if len(counted) == len(cells):
        return counted, "GFLOP"
    return {cell.number: cell.found.pool.decision_cpu_seconds for cell in cells}, "CPU seconds"
