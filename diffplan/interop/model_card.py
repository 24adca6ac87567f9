"""The README of an exported model: what it was trained on, how it scored, and how it is used."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCardData

from diffplan.errors import CheckpointError
from diffplan.interop.exported_parts import part_stem
from diffplan.interop.trajectory_format import TrajectoryFormat
from diffplan.run.result import Result

# A folder of one machine in front of a file's name, and settings that only say where things lie.
_FOLDERS = re.compile(r"(?<![^\s=,:\[\"'])(?:~|[A-Za-z]:)?[/\\](?:[^/\\,\[\]\"']+[/\\])*")
_PLACES = ("paths.", "+paths.", "hydra.", "+hydra.")


@dataclass(frozen=True)
class TrainingRecipe:
    """How a model's weights were made.

    Attributes:
        command: Command that trains it again, without folders of the machine it ran on; None if unknown.
        commit: Commit of this project's code; None if unknown.
        steps: Optimiser steps of the denoiser.
        seed: Seed of training.
        cpu_seconds: Processor time of training, all stages together; None if unknown.
        versions: Versions of the libraries, by name.
    """

    command: str | None
    commit: str | None
    steps: int
    seed: int
    cpu_seconds: float | None
    versions: dict[str, str]

    @classmethod
    def of_run(cls, folder: Path, steps: int, seed: int, result: Result | None) -> "TrainingRecipe":
        """Reads the recipe from a run's folder.

        Args:
            folder: The run's.
            steps: Optimiser steps of its checkpoint.
            seed: Of its config.
            result: Its final evaluation, where there is one.

        Raises:
            CheckpointError: the record of its command is broken.
        """
        versions = {} if result is None else dict(result.versions)
        cost = {} if result is None else result.cost
        seconds = [value for key, value in cost.items() if key.endswith("_cpu_seconds")]
        commit = versions.pop("commit", None)
        return cls(_command(folder), commit, steps, seed, sum(seconds) if seconds else None, versions)

    def facts(self) -> dict[str, str]:
        """Returns the rows of a table, in reading order."""
        rows = {
            "trained by": None if self.command is None else f"`{self.command}`",
            "steps and seed": f"{self.steps:,} steps of the denoiser, seed {self.seed}",
            "cost of training": None if self.cpu_seconds is None else f"{self.cpu_seconds / 60:.0f} CPU minutes",
            "commit": self.commit,
            "versions": ", ".join(f"{name} {number}" for name, number in self.versions.items()) or None,
        }
        return {key: value for key, value in rows.items() if value is not None}


def _command(folder: Path) -> str | None:
    path = folder / ".hydra" / "overrides.yaml"
    if not path.is_file():
        return None
    try:
        overrides = yaml.safe_load(path.read_text()) or []
    except yaml.YAMLError as error:
        raise CheckpointError(f"{path} cannot be told in the model card: it is no YAML.") from error
    if not isinstance(overrides, list) or not all(isinstance(override, str) for override in overrides):
        raise CheckpointError(f"{path} cannot be told in the model card: it is no list of overrides.")
    told = [_FOLDERS.sub("", override) for override in overrides if not override.startswith(_PLACES)]
    return shlex.join(["diffplan-train", *told])


_DATA = {
    "d4rl": "D4RL's own data",
    "regenerated": "data regenerated after D4RL's script, not D4RL's own",
    "collected": "data collected by this project's own policies, not D4RL's; its scores are no D4RL results",
    "minari": "a Minari data set",
    "file": "a file given by the user",
    "imported": "unknown; the weights were imported",
}

_CARD = """---
{front_matter}
---

# {title}

A [Diffuser](https://arxiv.org/abs/2205.09991) model that plans by denoising trajectories, exported by diffplan.

| | |
|---|---|
{facts}

## Recipe

{recipe}

## Scores

{scores}

## Use

```python
from diffplan.interop import DiffuserPipeline

pipeline = DiffuserPipeline.from_pretrained("<this folder>")
plan = pipeline({call})
{first}
```

{theirs}

The folder `trajectory` holds the statistics that observations and actions are normalised with, column by column.
"""

_THEIRS = """diffusers' own pipeline loads it too:

```python
from diffusers.experimental import ValueGuidedRLPipeline
from diffplan.interop import DiffusersEnv

env = DiffusersEnv.from_pretrained("<this folder>", env)
pipeline = ValueGuidedRLPipeline.from_pretrained("<this folder>", env=env)
action = pipeline(observation, planning_horizon={horizon}, scale={scale})
```

Its guide is about five times as strong as the same `scale` is here, and not in proportion, so scores differ. Without
`DiffusersEnv` it normalises all columns with one mean and one deviation, which is wrong for this model."""


def model_card(
    form: TrajectoryFormat, why_not_theirs: str | None, recipe: TrainingRecipe, result: Result | None, licence: str
) -> str:
    """Writes the card.

    Args:
        form: The exported trajectory format.
        why_not_theirs: Why diffusers' own pipeline cannot plan with it; None where it can.
        recipe: What made the weights.
        result: The final evaluation of the run, where there is one.
        licence: Of the weights, as the Hub names it.
    """
    config = form.config
    data = dict(config.data or {"name": "unknown", "kind": "imported"})
    title = f"Diffuser for {config.task}"
    card = ModelCardData(
        license=licence,
        library_name="diffusers",
        tags=["reinforcement-learning", "offline-rl", "diffuser", "diffplan"],
        pipeline_tag="reinforcement-learning",
        model_name=title,
        eval_results=_eval_results(result, data) or None,
    )
    facts = {
        "task": config.task,
        "environment": config.env_id,
        "data": f"{data['name']}: {_DATA.get(str(data['kind']), data['kind'])}",
        "data hash": data.get("sha256", "unknown"),
        "transitions": f"{data['num_transitions']:,}" if "num_transitions" in data else "unknown",
        "plan": f"{config.horizon} rows, {config.stride} environment steps apart",
        "action and observation columns": f"{config.action_dim} and {config.observation_dim}",
        "normalisation": f"{part_stem(config.normalizer)}, column by column",
        "guidance": "none" if config.returns is None else f"scale {config.guide_scale}",
        "licence": licence,
    }
    goal = part_stem(config.conditioning) == "start_and_goal"
    return _CARD.format(
        front_matter=card.to_yaml(),
        title=title,
        facts=_rows(facts),
        recipe=f"| | |\n|---|---|\n{_rows(recipe.facts())}",
        scores=_scores(result),
        call="observations, goals=goals" if goal else "observations",
        first="action = plan.actions[:, 0, 0]" if config.action_dim else "states = plan.observations[:, 0]",
        theirs=(
            _THEIRS.format(horizon=config.horizon, scale=config.guide_scale)
            if why_not_theirs is None
            else f"diffusers' own `ValueGuidedRLPipeline` cannot plan with it: {why_not_theirs}."
        ),
    )


def _rows(facts: Mapping[str, object]) -> str:
    return "\n".join(f"| {key} | {value} |" for key, value in facts.items())


def _eval_results(result: Result | None, data: dict[str, Any]) -> list[EvalResult]:
    results = []
    for protocol in {} if result is None else result.protocols:
        assert result is not None
        mean = result.metrics.get(f"eval/{protocol}/normalized_score_mean")
        if mean is not None:
            results.append(
                EvalResult(
                    task_type="reinforcement-learning",
                    dataset_type=str(data["kind"]),
                    dataset_name=f"{data['name']} ({data['kind']})",
                    dataset_config=protocol,
                    metric_type="normalized_score",
                    metric_value=round(mean, 2),
                )
            )
    return results


def _scores(result: Result | None) -> str:
    if result is None or not result.protocols:
        return "Not evaluated: the run has left no result."
    lines = ["| protocol | normalised score | standard error | episodes | training seed |", "|---|---|---|---|---|"]
    for protocol in result.protocols:
        metrics = {key: result.metrics.get(f"eval/{protocol}/{key}", float("nan")) for key in _COLUMNS}
        mean, error, episodes = metrics.values()
        lines.append(f"| {protocol} | {mean:.1f} | {error:.1f} | {episodes:.0f} | {result.seed} |")
    return "\n".join(lines)


_COLUMNS = ("normalized_score_mean", "normalized_score_stderr", "num_episodes")
