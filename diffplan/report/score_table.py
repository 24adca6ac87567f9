"""The scores of a run on the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rich.console import Console
from rich.table import Table


class Scored(Protocol):
    """What the table needs of an evaluation."""

    def metrics(self) -> dict[str, float]:
        """Metrics by key ``eval/<protocol>/<quantity>``."""


def print_scores(
    evaluations: Sequence[Scored],
    paper_scores: Mapping[str, Sequence[float]] | None,
    data: Mapping[str, Any],
    console: Console | None = None,
) -> None:
    """Prints mean and standard error a protocol beside the paper's, and which data the model was trained on.

    Args:
        evaluations: One a protocol.
        paper_scores: The paper's mean and standard error by protocol.
        data: Identity of the training data; anything but D4RL's own files is named as what it is.
        console: Where to print; standard output by default.
    """
    kind = "D4RL data" if data["kind"] == "d4rl" else f"{data['kind']} data, not comparable as a D4RL result"
    table = Table(title=f"{data['name']}, trained on {data['num_transitions']:,} transitions of {kind}")
    for column in ("protocol", "episodes", "score", "paper", "latched", "reached goal", "steps to goal", "planning s"):
        table.add_column(column, justify="left" if column == "protocol" else "right")
    for evaluation in evaluations:
        metrics = {key.rpartition("/")[2]: value for key, value in evaluation.metrics().items()}
        protocol = next(iter(evaluation.metrics())).split("/")[1]
        paper = (paper_scores or {}).get(protocol)
        table.add_row(
            protocol,
            f"{metrics['num_episodes']:.0f}",
            f"{metrics['normalized_score_mean']:.1f} ± {metrics['normalized_score_stderr']:.1f}",
            "-" if paper is None else f"{paper[0]} ± {paper[1]}",
            f"{metrics['latched_score_mean']:.1f} ± {metrics['latched_score_stderr']:.1f}",
            f"{100 * metrics['success_rate']:.0f} %",
            f"{metrics['steps_to_goal_mean']:.0f}" if "steps_to_goal_mean" in metrics else "-",
            f"{metrics['planning_seconds']:.1f}",
        )
    (console or Console()).print(table)
