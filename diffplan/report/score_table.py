"""The scores of a run on the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table


def print_scores(
    metrics: Mapping[str, float],
    paper_scores: Mapping[str, Sequence[float]] | None,
    data: Mapping[str, Any],
    console: Console | None = None,
) -> None:
    """Prints mean and standard error a protocol beside the paper's, and which data the model was trained on.

    Args:
        metrics: Of all protocols, by key ``eval/<protocol>/<quantity>``.
        paper_scores: The paper's mean and standard error by protocol.
        data: Identity of the training data; anything but D4RL's own files is named as what it is.
        console: Where to print; standard output by default.
    """
    kind = "D4RL data" if data["kind"] == "d4rl" else f"{data['kind']} data (no D4RL result)"
    table = Table(
        box=SIMPLE_HEAD, pad_edge=False, title=f"{data['name']} · {data['num_transitions']:,} transitions of {kind}"
    )
    for column in ("protocol", "n", "score", "paper", "latched", "reached", "steps"):
        table.add_column(column, justify="left" if column == "protocol" else "right", no_wrap=True)
    for protocol in dict.fromkeys(key.split("/")[1] for key in metrics):
        prefix = f"eval/{protocol}/"
        numbers = {key.removeprefix(prefix): value for key, value in metrics.items() if key.startswith(prefix)}
        paper = (paper_scores or {}).get(protocol)
        table.add_row(
            protocol,
            f"{numbers['num_episodes']:.0f}",
            f"{numbers['normalized_score_mean']:.1f} ± {numbers['normalized_score_stderr']:.1f}",
            "-" if paper is None else f"{paper[0]} ± {paper[1]}",
            f"{numbers['latched_score_mean']:.1f} ± {numbers['latched_score_stderr']:.1f}",
            f"{100 * numbers['success_rate']:.0f} %",
            f"{numbers['steps_to_goal_mean']:.0f}" if "steps_to_goal_mean" in numbers else "-",
        )
    (console or Console()).print(table)
