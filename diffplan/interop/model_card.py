"""The README of an exported model: what it was trained on, how it scored, and how it is used."""

import math
import re
import shlex
from pathlib import Path

import jinja2
import yaml
from huggingface_hub import EvalResult, ModelCardData
from markupsafe import Markup
from pydantic import TypeAdapter

from diffplan.errors import CheckpointError
from diffplan.interop.diffusers_folder import reading
from diffplan.interop.exported_parts import split_entry
from diffplan.interop.trajectory_format import TrajectoryFormat
from diffplan.run.result import Result
from diffplan.terminal import markdown_text, printable

# A folder of one machine in front of a file's name, and settings that only say where things lie.
_FOLDERS = re.compile(r"(?<![^\s=,:\[\"'])(?:~|[A-Za-z]:)?[/\\](?:[^/\\,\[\]\"']+[/\\])*")
_PLACES = ("paths.", "+paths.", "hydra.", "+hydra.")
_DATA = {
    "d4rl": "D4RL's own data",
    "regenerated": "data regenerated after D4RL's script, not D4RL's own",
    "collected": "data collected by this project's own policies, not D4RL's; its scores are no D4RL results",
    "minari": "a Minari data set",
    "file": "a file given by the user",
    "imported": "unknown; the weights were imported",
}
_MOST_BYTES = 2**20
_SCORES = ("normalized_score_mean", "normalized_score_stderr", "num_episodes")
_TEMPLATE = Path(__file__).parent / "template" / "model_card.md.j2"


def model_card(
    form: TrajectoryFormat,
    why_not_theirs: str | None,
    run: Path,
    steps: int,
    seed: int,
    result: Result | None,
    licence: str,
) -> str:
    """Writes the card.

    Args:
        form: The exported trajectory format.
        why_not_theirs: Why diffusers' own pipeline cannot plan with the model; None where it can.
        run: Folder of the run.
        steps: Optimiser steps of the checkpoint.
        seed: Seed of training.
        result: The final evaluation of the run, where there is one.
        licence: Licence of the weights, as the Hub names it.

    Raises:
        CheckpointError: The record of the training's command is broken.
    """
    config = form.config
    data = dict(config.data or {"name": "unknown", "kind": "imported"})
    title = f"Diffuser for {config.task}"
    versions, cost = ({}, {}) if result is None else (dict(result.versions), result.cost)
    scores = _scores(result)
    evaluations = [
        EvalResult(
            task_type="reinforcement-learning", dataset_type=str(data["kind"]), dataset_config=printable(protocol),
            dataset_name=printable(f"{data['name']} ({data['kind']})"), metric_type="normalized_score",
            metric_value=round(mean, 2),
        )
        for protocol, (mean, *_) in scores.items() if not math.isnan(mean)
    ]  # fmt: skip
    front_matter = ModelCardData(
        license=printable(licence),
        library_name="diffusers",
        tags=["reinforcement-learning", "offline-rl", "diffuser", "diffplan"],
        pipeline_tag="reinforcement-learning",
        model_name=printable(title),
        eval_results=evaluations or None,
    )
    # Whatever the template fills in is shown as text, but for what is Markdown already.
    template = jinja2.Template(
        _TEMPLATE.read_text(encoding="utf-8"), trim_blocks=True, keep_trailing_newline=True,
        finalize=lambda value: value if isinstance(value, Markup) else markdown_text(value),
    )  # fmt: skip
    return template.render(
        front_matter=Markup(front_matter.to_yaml()),
        title=title,
        config=config,
        data=data,
        origin=_DATA.get(str(data["kind"]), data["kind"]),
        normalizer=split_entry(config.normalizer)[0],
        has_goal=split_entry(config.conditioning)[0] == "start_and_goal",
        licence=licence,
        command=_code(training_command(run)),
        steps=steps,
        seed=seed,
        cpu_seconds=[value for key, value in cost.items() if key.endswith("_cpu_seconds")],
        commit=versions.pop("commit", None),
        versions=versions,
        scores=scores,
        result=result,
        why_not_theirs=why_not_theirs,
    )


def training_command(run: Path) -> str | None:
    """Returns the command that trains a run again, without folders of the machine it ran on; None if unknown.

    Raises:
        CheckpointError: The record of the command is broken.
    """
    path = run / ".hydra" / "overrides.yaml"
    if not path.is_file():
        return None
    with reading(path):
        text = path.read_bytes()[:_MOST_BYTES]
    try:
        overrides = TypeAdapter(list[str]).validate_python(yaml.safe_load(text) or [])
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be told in the model card: it is no list of overrides.") from error
    told = [_FOLDERS.sub("", override) for override in overrides if not override.startswith(_PLACES)]
    return shlex.join(["diffplan-train", *told])


def _code(text: str | None) -> Markup | None:
    """Returns text as code in a cell of a table, where HTML means nothing and only two signs have a meaning."""
    if text is None:
        return None
    shown = printable(text).replace("|", "\\|")
    # Code with backticks stands between more of them.
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    space = " " * (len(fence) > 1)
    return Markup(f"{fence}{space}{shown}{space}{fence}")


def _scores(result: Result | None) -> dict[str, list[float]]:
    """Returns score, standard error and number of episodes of each protocol."""
    if result is None:
        return {}
    metrics = result.metrics
    return {
        protocol: [metrics.get(f"eval/{protocol}/{key}", float("nan")) for key in _SCORES]
        for protocol in result.protocols
    }
