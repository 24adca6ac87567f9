"""The schedulers guide in rows and in words."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from diffplan.report.table.scheduler_cell import SchedulerCell

_WORDS = {
    "through_walls": "share of plans through walls",
    "tracking_error": "metres between plan and path",
    "first_step_error": "first planned step's error, standard deviations",
    "plan_value": "critic's value of the plans",
}


def quality_names(cells: Sequence[SchedulerCell]) -> list[str]:
    """What is known of the plans' quality, in the order it was measured."""
    return list(dict.fromkeys(name for cell in cells for name in cell.quality))


def quality_words(name: str) -> str:
    """A measure of quality as a reader would say it."""
    return _WORDS.get(name, name)


def cell_rows(cells: Sequence[SchedulerCell]) -> tuple[list[str], list[list[Any]]]:
    """One row a cell: names of the columns, and their values."""
    names = quality_names(cells)
    columns = ["protocol", "scheduler", "steps", "network_calls", "episodes", "score_mean", "score_stderr"]
    columns += ["plan_cpu_seconds", "plan_seconds", *names]
    return columns, [_row(cell, names) for cell in cells]


def _row(cell: SchedulerCell, names: Sequence[str]) -> list[Any]:
    facts = [cell.protocol, cell.scheduler, cell.steps, cell.calls, len(cell.scores), cell.mean, cell.standard_error]
    return [*facts, cell.plan_cpu_seconds, cell.plan_seconds, *(cell.quality.get(name) for name in names)]


def csv_text(cells: Sequence[SchedulerCell]) -> str:
    """The rows as a CSV file, six digits a number."""
    columns, rows = cell_rows(cells)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([f"{value:.6g}" if isinstance(value, float) else value for value in row] for row in rows)
    return text.getvalue()


def score_lines(cells: Sequence[SchedulerCell], x_name: str) -> dict[str, list[tuple[float, float]]]:
    """Mean score by scheduler, along ``denoising steps`` or ``CPU milliseconds a plan``.

    Args:
        cells: Of one protocol.
        x_name: One of the two.
    """
    lines: dict[str, list[tuple[float, float]]] = {}
    for cell in sorted(cells, key=lambda cell: cell.steps):
        place = {"denoising steps": float(cell.steps), "CPU milliseconds a plan": 1e3 * cell.plan_cpu_seconds}[x_name]
        lines.setdefault(cell.scheduler, []).append((place, cell.mean))
    return lines


def reference_cell(cells: Sequence[SchedulerCell], trained: str) -> SchedulerCell:
    """The cell that others are measured by: the trained scheduler's with most steps, or else the one with most.

    Args:
        cells: Of one protocol; at least one.
        trained: Name of the scheduler that the model was trained with.
    """
    return max(cells, key=lambda cell: (cell.scheduler == trained, cell.steps))


def keeps_score(cell: SchedulerCell, reference: SchedulerCell) -> bool:
    """Whether a cell's scores are not below the reference's by more than two standard errors, episode by episode."""
    difference = np.subtract(cell.scores, reference.scores)
    return bool(difference.mean() >= -2 * difference.std() / np.sqrt(len(difference)))


def fewest_steps(cells: Sequence[SchedulerCell], reference: SchedulerCell) -> int | None:
    """The least number of steps from which on every larger one keeps the score, too; None where not even the largest.

    Args:
        cells: Of one scheduler and one protocol.
        reference: What is to be kept.
    """
    kept = None
    for cell in sorted(cells, key=lambda cell: -cell.steps):
        if not keeps_score(cell, reference):
            break
        kept = cell.steps
    return kept


def markdown(cells: Sequence[SchedulerCell], trained: str, refused: Sequence[str]) -> str:
    """Writes the guide: for every protocol a table of scores, of CPU seconds and of the plans' quality.

    Args:
        cells: At least one; all protocols.
        trained: Name of the scheduler that the model was trained with.
        refused: One sentence for each that could not be used.
    """
    parts = []
    for protocol in dict.fromkeys(cell.protocol for cell in cells):
        own = [cell for cell in cells if cell.protocol == protocol]
        reference = reference_cell(own, trained)
        parts.append(
            f"## {protocol}\n\nNormalised score ± one standard error over {len(own[0].scores)} episodes, by denoising "
            f"steps. The last column has the fewest steps that keep the score of {reference.scheduler} in "
            f"{reference.steps} steps: from there on no mean of the episodes' differences is more than two standard "
            "errors below zero.\n\n"
            + _table(own, lambda cell: f"{cell.mean:.1f} ± {cell.standard_error:.1f}", reference)
        )
        parts.append(
            "CPU milliseconds a plan (Heun calls the network twice a step):\n\n"
            + _table(own, lambda cell: f"{1e3 * cell.plan_cpu_seconds:.3g}")
        )
        for name in quality_names(own):
            words = quality_words(name)
            parts.append(
                f"{words[0].upper()}{words[1:]}:\n\n"
                + _table(own, lambda cell, name=name: f"{cell.quality.get(name, float('nan')):.3g}")
            )
    if refused:
        parts.append("Not used:\n\n" + "\n".join(f"- {sentence}" for sentence in refused))
    return "\n\n".join(parts) + "\n"


def _table(cells: Sequence[SchedulerCell], form: Any, reference: SchedulerCell | None = None) -> str:
    steps = sorted({cell.steps for cell in cells})
    lines = ["| scheduler | " + " | ".join(map(str, steps)) + (" | keeps it |" if reference else " |")]
    lines.append("|---" * (len(steps) + 1 + (reference is not None)) + "|")
    for name in dict.fromkeys(cell.scheduler for cell in cells):
        own = {cell.steps: cell for cell in cells if cell.scheduler == name}
        row = [name, *(form(own[count]) if count in own else "" for count in steps)]
        if reference is not None:
            fewest = fewest_steps(list(own.values()), reference)
            row.append("no" if fewest is None else str(fewest))
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)
