"""The README of an exported model: what it was trained on, how it scored, and how it is used."""

from collections.abc import Mapping
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from diffplan.interop.exported_parts import part_stem
from diffplan.interop.training_recipe import TrainingRecipe
from diffplan.interop.trajectory_format import TrajectoryFormat
from diffplan.run.result import Result

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
