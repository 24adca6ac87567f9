"""The schedulers guide: its cells, and what they say in Markdown and CSV."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from diffplan.files import write_atomically

_WORDS = {
    "through_walls": "share of plans through walls",
    "tracking_error": "metres between plan and path",
    "first_step_error": "first planned step's error, standard deviations",
    "plan_value": "critic's value of the plans",
}


class SchedulerCell(BaseModel):
    """What one scheduler did in one number of steps.

    Attributes:
        key: Equal for cells that would have the same scores.
        protocol: Of the episodes.
        scheduler: File of ``conf/scheduler``.
        steps: Denoising steps.
        calls: Calls of the denoiser for a plan from noise.
        seeds: Of the episodes.
        scores: Normalised score of each.
        plan_cpu_seconds: Processor time for one plan of one environment, on all threads.
        plan_seconds: Wall time for the same; environments are planned side by side.
        quality: Of the plans, see ``plan_quality``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    key: str
    protocol: str
    scheduler: str
    steps: int
    calls: int
    seeds: list[int]
    scores: list[float]
    plan_cpu_seconds: float
    plan_seconds: float
    quality: dict[str, float]

    @property
    def mean(self) -> float:
        """Mean score."""
        return sum(self.scores) / len(self.scores)

    @property
    def standard_error(self) -> float:
        """Standard error of the mean, from the population deviation."""
        mean = self.mean
        return (sum((score - mean) ** 2 for score in self.scores) ** 0.5) / len(self.scores)

    @classmethod
    def read(cls, path: Path, key: str) -> "SchedulerCell | None":
        """Reads the cell of a file; None if there is no file, a broken one, or one of other settings."""
        try:
            cell = cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return None
        return cell if cell.key == key else None

    def write(self, path: Path) -> None:
        """Writes the cell, whole or not at all."""
        write_atomically(path, self.model_dump_json(indent=1).encode())


def quality_names(cells: Sequence[SchedulerCell]) -> list[str]:
    """Returns the measures of plan quality that were taken, in their order."""
    return list(dict.fromkeys(name for cell in cells for name in cell.quality))


def quality_words(name: str) -> str:
    """Returns a measure of quality as a reader would say it."""
    return _WORDS.get(name, name)


def cell_table(cells: Sequence[SchedulerCell]) -> pd.DataFrame:
    """Returns one row a cell."""
    names = quality_names(cells)
    columns = ["protocol", "scheduler", "steps", "network_calls", "episodes", "score_mean", "score_stderr"]
    columns += ["plan_cpu_seconds", "plan_seconds", *names]
    return pd.DataFrame([_row(cell, names) for cell in cells], columns=columns)


def _row(cell: SchedulerCell, names: Sequence[str]) -> list[Any]:
    facts = [cell.protocol, cell.scheduler, cell.steps, cell.calls, len(cell.scores), cell.mean, cell.standard_error]
    return [*facts, cell.plan_cpu_seconds, cell.plan_seconds, *(cell.quality.get(name) for name in names)]


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
            parts.append(f"{words[0].upper()}{words[1:]}:\n\n" + _table(own, _quality_text(name)))
    if refused:
        parts.append("Not used:\n\n" + "\n".join(f"- {sentence}" for sentence in refused))
    return "\n\n".join(parts) + "\n"


def _quality_text(name: str) -> Callable[[SchedulerCell], str]:
    return lambda cell: f"{cell.quality.get(name, float('nan')):.3g}"


def _table(
    cells: Sequence[SchedulerCell], form: Callable[[SchedulerCell], str], reference: SchedulerCell | None = None
) -> str:
    """One row a scheduler, one column a number of steps."""
    steps = sorted({cell.steps for cell in cells})
    rows = []
    for name in dict.fromkeys(cell.scheduler for cell in cells):
        own = {cell.steps: cell for cell in cells if cell.scheduler == name}
        row = {"scheduler": name} | {str(count): form(own[count]) if count in own else "" for count in steps}
        if reference is not None:
            fewest = fewest_steps(list(own.values()), reference)
            row["keeps it"] = "no" if fewest is None else str(fewest)
        rows.append(row)
    return pd.DataFrame(rows).to_markdown(index=False, tablefmt="pipe", disable_numparse=True)
