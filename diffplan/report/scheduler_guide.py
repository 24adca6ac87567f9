"""The schedulers guide: scores and costs by scheduler and number of steps, as a table and in Markdown."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from diffplan.report.cell import AbstractCell
from diffplan.terminal import markdown_text

_TITLES = {
    "through_walls": "Share of plans through walls",
    "tracking_error": "Metres between plan and path",
    "first_step_error": "First planned step's error, standard deviations",
    "plan_value": "Critic's value of the plans",
}


class SchedulerCell(AbstractCell):
    """The episodes played with one scheduler in one number of steps.

    Attributes:
        scheduler: Name of a file in ``conf/scheduler``.
        steps: Number of denoising steps.
        calls: Number of calls of the denoiser for one plan from noise.
        plan_cpu_seconds: Processor time for one plan of one environment, on all threads.
        plan_seconds: Wall time for one plan of one environment, when environments are planned in parallel.
        quality: Measures of the plans, see ``plan_quality``.
    """

    scheduler: str
    steps: int
    calls: int
    plan_cpu_seconds: float
    plan_seconds: float
    quality: dict[str, float]

    @property
    def name(self) -> str:
        return f"{self.scheduler}-{self.steps}"


def cell_table(cells: Sequence[SchedulerCell]) -> pd.DataFrame:
    """Returns one row a cell. The columns after ``plan_seconds`` are the measures of plan quality that were taken."""
    rows = [
        {
            "protocol": cell.protocol, "scheduler": cell.scheduler, "steps": cell.steps, "network_calls": cell.calls,
            "episodes": len(cell.scores), "score_mean": cell.mean, "score_stderr": cell.standard_error,
            "plan_cpu_seconds": cell.plan_cpu_seconds, "plan_seconds": cell.plan_seconds, **cell.quality,
        }
        for cell in cells
    ]  # fmt: skip
    return pd.DataFrame(rows)


def quality_titles(table: pd.DataFrame) -> dict[str, str]:
    """Returns the measures of plan quality of a ``cell_table`` and what they mean, as headings."""
    names = table.columns[table.columns.get_loc("plan_seconds") + 1 :]
    return {name: _TITLES.get(name, f"{name[0].upper()}{name[1:]}") for name in names}


def reference_cell(cells: Sequence[SchedulerCell], trained: str) -> SchedulerCell:
    """Returns the cell of a protocol that others are compared with.

    It is the one with most steps of the scheduler ``trained``, or of all if that scheduler has no cell.
    """
    return max(cells, key=lambda cell: (cell.scheduler == trained, cell.steps))


def keeps_score(cell: SchedulerCell, reference: SchedulerCell) -> bool:
    """Whether the mean difference between equal episodes is at least minus two standard errors."""
    difference = np.subtract(cell.scores, reference.scores)
    return bool(difference.mean() >= -2 * difference.std() / np.sqrt(len(difference)))


def fewest_steps(cells: Sequence[SchedulerCell], reference: SchedulerCell) -> int | None:
    """Returns the fewest steps for which they, and all larger numbers of steps, keep the reference's score.

    Args:
        cells: The cells of one scheduler and one protocol.
        reference: The cell whose score is to be kept.

    Returns:
        None if not even the largest number of steps keeps the score.
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
        table, reference = cell_table(own), reference_cell(own, trained)
        scores = [cell.score_text for cell in own]
        kept = {
            name: fewest_steps([cell for cell in own if cell.scheduler == name], reference)
            for name in table["scheduler"].unique()
        }
        parts += [
            f"## {markdown_text(protocol)}",
            f"Normalised score ± one standard error over {len(own[0].scores)} episodes, by denoising "
            f"steps. The last column has the fewest steps that keep the score of "
            f"{markdown_text(reference.scheduler)} in {reference.steps} steps: from there on no mean of the episodes' "
            "differences is more than two standard errors below zero.",
            _by_steps(table, scores, {name: "no" if steps is None else str(steps) for name, steps in kept.items()}),
            "CPU milliseconds a plan (Heun calls the network twice a step):",
            _by_steps(table, [f"{1e3 * seconds:.3g}" for seconds in table["plan_cpu_seconds"]]),
        ]
        for name, title in quality_titles(table).items():
            parts += [f"{markdown_text(title)}:", _by_steps(table, [f"{value:.3g}" for value in table[name]])]
    if refused:
        parts += ["Not used:", "\n".join(f"- {markdown_text(sentence)}" for sentence in refused)]
    return "\n\n".join(parts) + "\n"


def _by_steps(table: pd.DataFrame, texts: Sequence[str], kept: Mapping[str, str] | None = None) -> str:
    """Writes one row a scheduler, one column a number of steps, and a last column for the steps that keep the score."""
    wide = table.assign(text=texts).pivot_table("text", "scheduler", "steps", aggfunc="last", fill_value="")
    wide = wide.reindex(table["scheduler"].unique())
    if kept is not None:
        wide["keeps it"] = pd.Series(kept)
    wide.index = wide.index.map(markdown_text)
    return wide.rename_axis("scheduler").reset_index().to_markdown(index=False, tablefmt="pipe", disable_numparse=True)
