"""The README of an exported model: what it was trained on, how it scored, and how it is used."""

import math
import re
import shlex
from pathlib import Path

import jinja2
import yaml
from huggingface_hub import EvalResult, ModelCardData
from pydantic import TypeAdapter

from diffplan.errors import CheckpointError
from diffplan.interop.exported_parts import part_stem
from diffplan.interop.trajectory_format import TrajectoryFormat
from diffplan.run.result import Result

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
_SCORES = ("normalized_score_mean", "normalized_score_stderr", "num_episodes")
_CARD = """---
{{ front_matter }}
---

# {{ title }}

A [Diffuser](https://arxiv.org/abs/2205.09991) model that plans by denoising trajectories, exported by diffplan.

| | |
|---|---|
| task | {{ config.task }} |
| environment | {{ config.env_id }} |
| data | {{ data.name }}: {{ origin }} |
| data hash | {{ data.sha256 or "unknown" }} |
| transitions | {{ "{:,}".format(data.num_transitions) if "num_transitions" in data else "unknown" }} |
| plan | {{ config.horizon }} rows, {{ config.stride }} environment steps apart |
| action and observation columns | {{ config.action_dim }} and {{ config.observation_dim }} |
| normalisation | {{ normalizer }}, column by column |
| guidance | {{ "none" if config.returns is none else "scale %s" % config.guide_scale }} |
| licence | {{ licence }} |

## Recipe

| | |
|---|---|
{% if command %}
| trained by | `{{ command }}` |
{% endif %}
| steps and seed | {{ "{:,}".format(steps) }} steps of the denoiser, seed {{ seed }} |
{% if cpu_seconds %}
| cost of training | {{ "%.0f" % (cpu_seconds | sum / 60) }} CPU minutes |
{% endif %}
{% if commit %}
| commit | {{ commit }} |
{% endif %}
{% if versions %}
| versions | {{ versions.items() | map("join", " ") | join(", ") }} |
{% endif %}

## Scores

{% if scores %}
| protocol | normalised score | standard error | episodes | training seed |
|---|---|---|---|---|
{% for protocol, (mean, error, episodes) in scores.items() %}
| {{ protocol }} | {{ "%.1f" % mean }} | {{ "%.1f" % error }} | {{ "%.0f" % episodes }} | {{ result.seed }} |
{% endfor %}
{% else %}
Not evaluated: the run has left no result.
{% endif %}

## Use

```python
from diffplan.interop import DiffuserPipeline

pipeline = DiffuserPipeline.from_pretrained("<this folder>")
plan = pipeline(observations{{ ", goals=goals" if has_goal }})
{{ "action = plan.actions[:, 0, 0]" if config.action_dim else "states = plan.observations[:, 0]" }}
```

{% if why_not_theirs %}
diffusers' own `ValueGuidedRLPipeline` cannot plan with it: {{ why_not_theirs }}.
{% else %}
diffusers' own pipeline loads it too:

```python
from diffusers.experimental import ValueGuidedRLPipeline
from diffplan.interop import DiffusersEnv

env = DiffusersEnv.from_pretrained("<this folder>", env)
pipeline = ValueGuidedRLPipeline.from_pretrained("<this folder>", env=env)
action = pipeline(observation, planning_horizon={{ config.horizon }}, scale={{ config.guide_scale }})
```

Its guide is about five times as strong as the same `scale` is here, and not in proportion, so scores differ. Without
`DiffusersEnv` it normalises all columns with one mean and one deviation, which is wrong for this model.
{% endif %}

The folder `trajectory` holds the statistics that observations and actions are normalised with, column by column.
"""


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
            task_type="reinforcement-learning", dataset_type=str(data["kind"]), dataset_config=protocol,
            dataset_name=f"{data['name']} ({data['kind']})", metric_type="normalized_score",
            metric_value=round(mean, 2),
        )
        for protocol, (mean, *_) in scores.items() if not math.isnan(mean)
    ]  # fmt: skip
    front_matter = ModelCardData(
        license=licence,
        library_name="diffusers",
        tags=["reinforcement-learning", "offline-rl", "diffuser", "diffplan"],
        pipeline_tag="reinforcement-learning",
        model_name=title,
        eval_results=evaluations or None,
    )
    template = jinja2.Template(_CARD, trim_blocks=True, keep_trailing_newline=True)
    return template.render(
        front_matter=front_matter.to_yaml(),
        title=title,
        config=config,
        data=data,
        origin=_DATA.get(str(data["kind"]), data["kind"]),
        normalizer=part_stem(config.normalizer),
        has_goal=part_stem(config.conditioning) == "start_and_goal",
        licence=licence,
        command=training_command(run),
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
    try:
        overrides = TypeAdapter(list[str]).validate_python(yaml.safe_load(path.read_text()) or [])
    except (yaml.YAMLError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be told in the model card: it is no list of overrides.") from error
    told = [_FOLDERS.sub("", override) for override in overrides if not override.startswith(_PLACES)]
    return shlex.join(["diffplan-train", *told])


def _scores(result: Result | None) -> dict[str, list[float]]:
    """Returns score, standard error and number of episodes of each protocol."""
    if result is None:
        return {}
    metrics = result.metrics
    return {
        protocol: [metrics.get(f"eval/{protocol}/{key}", float("nan")) for key in _SCORES]
        for protocol in result.protocols
    }
