"""The headline of one evaluation protocol."""

import math
import re
from dataclasses import dataclass
from typing import Any

from diffplan.report.run_record import RunRecord

_KNOWN = ("single_task", "multi2d")


@dataclass(frozen=True)
class ProtocolSummary:
    """What the latest evaluation under one protocol found.

    Attributes:
        protocol: ``single_task``, ``multi2d``...
        step: Training step of that evaluation.
        score: Mean normalised score and its standard error (None where unknown), under D4RL's true reward.
        paper: The paper's score and its standard error, where the config holds them.
        facts: Label and text of the other quantities.
    """

    protocol: str
    step: int
    score: tuple[float, float | None]
    paper: tuple[float, float | None] | None
    facts: list[tuple[str, str]]

    @classmethod
    def of_run(cls, record: RunRecord) -> "list[ProtocolSummary]":
        """Summarises every protocol that a run evaluated, those of the paper first."""
        found = {match.group(1) for row in record.metrics.values() for key in row if (match := _SCORE.fullmatch(key))}
        ordered = [name for name in _KNOWN if name in found] + sorted(found.difference(_KNOWN))
        return [cls._of_protocol(record, name) for name in ordered]

    @property
    def title(self) -> str:
        """Name for people."""
        return {"single_task": "Single task", "multi2d": "Multi2D"}.get(self.protocol, self.protocol)

    @property
    def score_text(self) -> str:
        """Score with its standard error."""
        return _with_error(*self.score)

    @property
    def paper_text(self) -> str:
        """The paper's score with its standard error; empty where the config holds none."""
        return _with_error(*self.paper) if self.paper else ""

    @property
    def difference_text(self) -> str:
        """How far the score is from the paper's, with its sign."""
        return f"{self.score[0] - self.paper[0]:+.1f}" if self.paper else ""

    @property
    def reaches_paper(self) -> bool:
        """Whether the score is at or above the paper's minus one of the paper's standard errors."""
        return self.paper is not None and self.score[0] >= self.paper[0] - (self.paper[1] or 0.0)

    @classmethod
    def _of_protocol(cls, record: RunRecord, protocol: str) -> "ProtocolSummary":
        prefix = f"eval/{protocol}/"
        steps, means = record.series(f"{prefix}normalized_score_mean")
        row = record.metrics[steps[-1]]
        facts = []
        latched = row.get(f"{prefix}latched_score_mean")
        if latched is not None:
            facts.append(("latched score", _with_error(latched, row.get(f"{prefix}latched_score_stderr"))))
        for name, label, form in _FACTS:
            value = row.get(prefix + name)
            if value is not None and math.isfinite(value):
                facts.append((label, form.format(value)))
        return cls(
            protocol=protocol,
            step=steps[-1],
            score=(means[-1], row.get(f"{prefix}normalized_score_stderr")),
            paper=_paper_score(record.config, protocol),
            facts=facts,
        )


_SCORE = re.compile(r"eval/([^/]+)/normalized_score_mean")
_FACTS = (
    ("return_mean", "return", "{:.1f}"),
    ("success_rate", "reached the goal", "{:.0%}"),
    ("steps_to_goal_mean", "steps to the goal", "{:.0f}"),
    ("episode_length_mean", "episode length", "{:.0f}"),
    ("termination_rate", "terminated", "{:.0%}"),
    ("value_correlation", "critic's correlation with the return", "{:.2f}"),
    ("value_bias", "critic's bias", "{:+.1f}"),
    ("decision_seconds", "seconds per decision", "{:.2g}"),
    ("decision_cpu_seconds", "CPU seconds per decision", "{:.2g}"),
    ("decision_gflop", "GFLOP per decision", "{:.3g}"),
    ("planning_seconds", "seconds of planning", "{:.2f}"),
)


def _paper_score(config: dict[str, Any], protocol: str) -> tuple[float, float | None] | None:
    """Reads ``task.paper_scores.<protocol>``: a number, or a number and its standard error."""
    task = config.get("task")
    scores = task.get("paper_scores") if isinstance(task, dict) else None
    entry = scores.get(protocol) if isinstance(scores, dict) else None
    entries = entry if isinstance(entry, list) else [entry]
    numbers = [float(number) for number in entries if isinstance(number, (int, float))]
    if not 1 <= len(numbers) == len(entries) <= 2:
        return None
    return numbers[0], numbers[1] if len(numbers) == 2 else None


def _with_error(mean: float, error: float | None) -> str:
    return f"{mean:.1f}" if error is None or not math.isfinite(error) else f"{mean:.1f} ± {error:.1f}"
