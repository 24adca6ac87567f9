"""The headline of a run: mean score and other quantities of each protocol, on the page and on the terminal."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from diffplan.report.ablation import paper_score
from diffplan.report.run_record import RunRecord
from diffplan.terminal import plain_console

_KNOWN = {"single_task": "Single task", "multi2d": "Multi2D"}
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
_GOAL_COLUMNS = {
    "latched": "{latched_score_mean:.1f} ± {latched_score_stderr:.1f}",
    "reached": "{success_rate:.0%}",
    "steps": "{steps_to_goal_mean:.0f}",
}
_EPISODE_COLUMNS = {
    "return": "{return_mean:.0f}",
    "length": "{episode_length_mean:.0f}",
    "fell": "{termination_rate:.0%}",
    "s/step": "{decision_seconds:.2g}",
}


@dataclass(frozen=True)
class ProtocolSummary:
    """What the latest evaluation under one protocol found.

    Attributes:
        protocol: ``single_task``, ``multi2d``...
        step: Training step of that evaluation.
        score: Mean normalised score and its standard error (None if unknown), under D4RL's true reward.
        paper: The paper's score and its standard error, if the config holds them.
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
        found = {match.group(1) for key in record.keys if (match := _SCORE.fullmatch(key))}
        ordered = [name for name in _KNOWN if name in found] + sorted(found.difference(_KNOWN))
        return [cls._of_protocol(record, name) for name in ordered]

    @property
    def title(self) -> str:
        """Name for people."""
        return protocol_title(self.protocol)

    @property
    def score_text(self) -> str:
        """Score with its standard error."""
        return with_error(*self.score)

    @property
    def paper_text(self) -> str:
        """The paper's score with its standard error; empty if the config holds none."""
        return with_error(*self.paper) if self.paper else ""

    @property
    def difference_text(self) -> str:
        """How far the score is from the paper's, with its sign; empty if the config holds none."""
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
        values = {name: row.get(prefix + name, math.nan) for name, _, _ in _FACTS}
        facts = [(label, form.format(values[name])) for name, label, form in _FACTS if math.isfinite(values[name])]
        latched = row.get(f"{prefix}latched_score_mean")
        if latched is not None:
            facts.insert(0, ("latched score", with_error(latched, row.get(f"{prefix}latched_score_stderr"))))
        score = (means[-1], row.get(f"{prefix}normalized_score_stderr"))
        return cls(protocol, steps[-1], score, paper_score(record.config, protocol), facts)


def protocol_title(protocol: str) -> str:
    """Returns the name of a protocol for people."""
    return _KNOWN.get(protocol, protocol)


def with_error(mean: float, error: float | None) -> str:
    """Returns a mean with its standard error, if that is known."""
    return f"{mean:.1f}" if error is None or not math.isfinite(error) else f"{mean:.1f} ± {error:.1f}"


def print_scores(
    metrics: Mapping[str, float],
    paper_scores: Mapping[str, Sequence[float]] | None,
    data: Mapping[str, Any],
    console: Console | None = None,
) -> None:
    """Prints mean and standard error of each protocol beside the paper's, and the data the model was trained on.

    Tasks with a goal get how often and how soon it was reached, other tasks how long episodes were.

    Args:
        metrics: Of all protocols, by key ``eval/<protocol>/<quantity>``.
        paper_scores: The paper's mean and standard error by protocol.
        data: Identity of the training data; data that is not D4RL's own is named as what it is.
        console: Where to print; standard output by default.
    """
    kind = "D4RL data" if data["kind"] == "d4rl" else f"{data['kind']} data (no D4RL result)"
    title = f"{data['name']} · {data['num_transitions']:,} transitions of {kind}"
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=title)
    protocols: dict[str, dict[str, float]] = {}
    for key, value in metrics.items():
        _, protocol, name = key.split("/", 2)
        protocols.setdefault(protocol, {})[name] = value
    has_goal = any("success_rate" in numbers for numbers in protocols.values())
    columns = _GOAL_COLUMNS if has_goal else _EPISODE_COLUMNS
    for column in ("protocol", "n", "score", "paper", *columns):
        table.add_column(column, justify="left" if column == "protocol" else "right", no_wrap=True)
    for protocol, numbers in protocols.items():
        paper = (paper_scores or {}).get(protocol)
        table.add_row(
            protocol,
            f"{numbers['num_episodes']:.0f}",
            with_error(numbers["normalized_score_mean"], numbers["normalized_score_stderr"]),
            "-" if paper is None else f"{paper[0]} ± {paper[1]}",
            *(_filled(form, numbers) for form in columns.values()),
        )
    (console or plain_console()).print(table)


def _filled(form: str, numbers: Mapping[str, float]) -> str:
    try:
        return form.format(**numbers).replace("%", " %")
    except KeyError:
        return "-"
