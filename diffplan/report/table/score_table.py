"""The scores of a run on the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

_GOAL_FACTS = {
    "latched": "{latched_score_mean:.1f} ± {latched_score_stderr:.1f}",
    "reached": "{success_rate:.0%}",
    "steps": "{steps_to_goal_mean:.0f}",
}
_EPISODE_FACTS = {
    "return": "{return_mean:.0f}",
    "length": "{episode_length_mean:.0f}",
    "fell": "{termination_rate:.0%}",
    "s/step": "{decision_seconds:.2g}",
}


def print_scores(
    metrics: Mapping[str, float],
    paper_scores: Mapping[str, Sequence[float]] | None,
    data: Mapping[str, Any],
    console: Console | None = None,
) -> None:
    """Prints mean and standard error a protocol beside the paper's, and which data the model was trained on.

    Then come, where there is a goal, how often and how soon it was reached, and otherwise how long episodes were.

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
    protocols = {
        protocol: _of_protocol(metrics, protocol) for protocol in dict.fromkeys(k.split("/")[1] for k in metrics)
    }
    has_goal = any("success_rate" in numbers for numbers in protocols.values())
    facts = _GOAL_FACTS if has_goal else _EPISODE_FACTS
    for column in ("protocol", "n", "score", "paper", *facts):
        table.add_column(column, justify="left" if column == "protocol" else "right", no_wrap=True)
    for protocol, numbers in protocols.items():
        paper = (paper_scores or {}).get(protocol)
        table.add_row(
            protocol,
            f"{numbers['num_episodes']:.0f}",
            f"{numbers['normalized_score_mean']:.1f} ± {numbers['normalized_score_stderr']:.1f}",
            "-" if paper is None else f"{paper[0]} ± {paper[1]}",
            *(_cell(form, numbers) for form in facts.values()),
        )
    (console or Console()).print(table)


def _of_protocol(metrics: Mapping[str, float], protocol: str) -> dict[str, float]:
    prefix = f"eval/{protocol}/"
    return {key.removeprefix(prefix): value for key, value in metrics.items() if key.startswith(prefix)}


def _cell(form: str, numbers: Mapping[str, float]) -> str:
    try:
        return form.format(**numbers).replace("%", " %")
    except KeyError:
        return "-"
