"""What in a config decides the numbers, so that results can be told to be of one kind or not."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from diffplan.config.first_names import with_first_names

_GROUPS = (
    "prediction_type", "source", "normalizer", "window", "datamodule", "backbone", "scheduler", "conditioning", "loss",
    "critic", "guide", "sampler", "planner", "optimizer", "learning_rate_schedule", "average", "module", "task",
)  # fmt: skip
_TRAINER_KEYS = (
    "max_steps", "accumulate_grad_batches", "precision", "gradient_clip_val", "devices", "num_nodes",
)  # fmt: skip
# Seeds, where things lie, what the paper reports, and how fast the same plan is found.
_NOT_COMPARED = {"seed", "data_dir", "path", "paper_scores", "max_memory_gib", "fast_networks", "compile"}
_PLANNING_GROUPS = ("task", "scheduler", "guide", "sampler", "planner")


def experiment_config(
    trained: Mapping[str, Any], critic: Mapping[str, Any] | None = None, planned: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Joins what a model was trained with and what it planned with, as if one command had done both.

    Args:
        trained: Resolved config of the denoiser's training.
        critic: The same of the critic's, where it was trained by another command.
        planned: Resolved config of ``diffplan-plan``; None where training evaluates itself.
    """
    config = dict(trained)
    if critic is not None:
        config["critic"] = critic["critic"]
    if planned is not None:
        config |= {group: planned[group] for group in _PLANNING_GROUPS}
    return config


def comparable_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Lists the settings that results averaged together must share: all but seeds, places, logging and hardware.

    A setting that only repeats another group's, as ``module.backbone.dim`` repeats ``backbone.dim``, is left out.

    Args:
        config: Resolved, see ``experiment_config``.

    Returns:
        Values by dotted key, in the order of the config.
    """
    chosen = {group: config[group] for group in _GROUPS if group in config}
    trainer = config.get("trainer") or {}
    chosen["trainer"] = {key: trainer[key] for key in _TRAINER_KEYS if key in trainer}
    flat = dict(_leaves(with_first_names(chosen), ""))
    return {key: value for key, value in flat.items() if not _repeats(key, value, flat)}


def config_hash(config: Mapping[str, Any]) -> str:
    """Eight letters, equal for results that differ in their seed at most."""
    text = json.dumps(comparable_settings(config), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _leaves(node: Any, prefix: str) -> list[tuple[str, Any]]:
    if not isinstance(node, Mapping) or not node:
        return [(prefix, node)]
    return [
        leaf
        for key, value in node.items()
        if key not in _NOT_COMPARED
        for leaf in _leaves(value, f"{prefix}.{key}" if prefix else str(key))
    ]


def _repeats(key: str, value: Any, flat: Mapping[str, Any]) -> bool:
    parts = key.split(".")
    shorter = (".".join(parts[start:]) for start in range(1, len(parts)))
    return any(other in flat and flat[other] == value for other in shorter)
