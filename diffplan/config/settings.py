"""The one place that says what every setting is and what it means.

A *setting* is a key of the config that ``diffplan train``, ``plan``, ``schedulers`` or ``guidance`` composes. The
folder names of runs and evaluations, the ablation label, the comparison of results, the checks of a command line and
what an evaluation takes from its checkpoint all follow from the tables below. A new group or key needs one row here.
What values a setting may have beside its type says ``diffplan.config.ranges``.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from omegaconf import DictConfig, OmegaConf

from diffplan.config.parts import with_first_names, with_whole_modules
from diffplan.config.ranges import Protocol


class Meaning(Enum):
    """What a setting changes."""

    WEIGHTS = "changes the trained weights: compared, and named in the ablation label"
    PLANS = "changes the plans of a trained model: compared, and named in the ablation label"
    TASK = "the problem to solve: compared; it has its own folder, so the choice of a task is not named"
    SCOPE = "chooses what a command works on: named, but compared only through the settings that follow from it"
    EVALUATION = "how many episodes an evaluation plays, and where: part of its folder's name, never compared"
    SEED = "tells repetitions of one experiment apart: never compared"
    COST = "the same numbers at another speed: never compared"
    LABEL = "names, places and records: changes no number"


_NAMED = (Meaning.WEIGHTS, Meaning.PLANS, Meaning.SCOPE, Meaning.EVALUATION)

TRAIN, PLAN, SCHEDULERS, GUIDANCE = "train", "plan", "schedulers", "guidance"
# The commands that plan with a checkpoint, and those that only show a table of many cells.
PLANNING, COMPARING = (PLAN, SCHEDULERS, GUIDANCE), (SCHEDULERS, GUIDANCE)
_ALL = (TRAIN, *PLANNING)
_GROUP = dict


@dataclass(frozen=True)
class Setting:
    """One key at the top level of a composed config.

    Attributes:
        type: The type of its value; ``dict`` for a group.
        meaning: What it changes; None for a group whose keys each have a row of their own.
        commands: The commands that have it.
        from_checkpoint: Whether an evaluation takes it from the checkpoint where the command line does not give it.
    """

    type: Any
    meaning: Meaning | None
    commands: Sequence[str] = _ALL
    from_checkpoint: bool = False

    @property
    def is_group(self) -> bool:
        """Whether it is a group of settings."""
        return self.type is _GROUP


# Comparisons list settings in this order.
SETTINGS = {
    "prediction_type": Setting(str, Meaning.WEIGHTS, from_checkpoint=True),
    "source": Setting(_GROUP, Meaning.WEIGHTS, [TRAIN]),
    "normalizer": Setting(_GROUP, Meaning.WEIGHTS, [TRAIN]),
    "window": Setting(_GROUP, Meaning.WEIGHTS, [TRAIN]),
    "datamodule": Setting(_GROUP, Meaning.WEIGHTS, [TRAIN]),
    "backbone": Setting(_GROUP, Meaning.WEIGHTS, [TRAIN]),
    "scheduler": Setting(_GROUP, Meaning.WEIGHTS, from_checkpoint=True),
    "conditioning": Setting(_GROUP, Meaning.WEIGHTS, [TRAIN]),
    "loss": Setting(_GROUP, Meaning.WEIGHTS, [TRAIN]),
    "critic": Setting(_GROUP, Meaning.WEIGHTS),
    "guide": Setting(_GROUP, Meaning.PLANS),
    "sampler": Setting(_GROUP, Meaning.PLANS),
    "planner": Setting(_GROUP, Meaning.PLANS),
    "optimizer": Setting(_GROUP, Meaning.WEIGHTS, [TRAIN]),
    "learning_rate_schedule": Setting(_GROUP, Meaning.WEIGHTS, [TRAIN]),
    "average": Setting(_GROUP, Meaning.WEIGHTS, [TRAIN]),
    "module": Setting(_GROUP, Meaning.WEIGHTS, [TRAIN]),
    "task": Setting(_GROUP, Meaning.TASK, from_checkpoint=True),
    "trainer": Setting(_GROUP, None, [TRAIN]),
    "seed": Setting(int, Meaning.SEED, from_checkpoint=True),
    "stages": Setting(list[str], Meaning.SCOPE, [TRAIN]),
    "denoiser": Setting(str | None, Meaning.SCOPE, [TRAIN]),
    "env_id": Setting(str | None, Meaning.SCOPE, PLANNING),
    "num_episodes": Setting(int, Meaning.EVALUATION, PLANNING),
    "first_seed": Setting(int, Meaning.EVALUATION, PLANNING),
    "protocols": Setting(list[Protocol], Meaning.EVALUATION, PLANNING),
    "num_videos": Setting(int, Meaning.EVALUATION, PLANNING),
    "compare_without_guide": Setting(int, Meaning.EVALUATION, PLANNING),
    "device": Setting(str | None, Meaning.EVALUATION, PLANNING),
    "schedulers": Setting(list[str], Meaning.EVALUATION, [SCHEDULERS]),
    "steps": Setting(list[int] | None, Meaning.EVALUATION, [SCHEDULERS]),
    "scales": Setting(list[float] | None, Meaning.EVALUATION, [GUIDANCE]),
    "candidates": Setting(list[int] | None, Meaning.EVALUATION, [GUIDANCE]),
    "data_path": Setting(str | None, Meaning.LABEL, [GUIDANCE]),
    "num_threads": Setting(int | None, Meaning.COST),
    # An evaluation lies in the run folder of its checkpoint.
    "checkpoint": Setting(str, Meaning.LABEL, PLANNING),
    "callbacks": Setting(_GROUP, Meaning.LABEL, [TRAIN]),
    "logger": Setting(_GROUP, Meaning.LABEL),
    "paths": Setting(_GROUP, Meaning.LABEL),
    "name": Setting(str, Meaning.LABEL, from_checkpoint=True),
    "resume": Setting(bool, Meaning.LABEL),
    "project": Setting(str, Meaning.LABEL),
    "ablation": Setting(str, Meaning.LABEL),
    "group": Setting(str, Meaning.LABEL),
    "job_type": Setting(str, Meaning.LABEL),
    "tags": Setting(list[str], Meaning.LABEL),
    "sweep": Setting(str | None, Meaning.LABEL),
    "objective": Setting(str | None, Meaning.LABEL),
}
# The keys that an evaluation takes from its checkpoint.
FROM_CHECKPOINT = [key for key, setting in SETTINGS.items() if setting.from_checkpoint]
# The keys that results averaged together must share, beside some of the trainer's.
COMPARED = [
    key for key, setting in SETTINGS.items() if setting.meaning in (Meaning.WEIGHTS, Meaning.PLANS, Meaning.TASK)
]
# The trainer's keys, each with its own meaning: a new key of conf/trainer must be added here.
TRAINER_SETTINGS = {
    "max_steps": Meaning.WEIGHTS,
    "accumulate_grad_batches": Meaning.WEIGHTS,
    "precision": Meaning.WEIGHTS,
    "gradient_clip_val": Meaning.WEIGHTS,
    "devices": Meaning.WEIGHTS,
    "num_nodes": Meaning.WEIGHTS,
    "accelerator": Meaning.COST,
    "strategy": Meaning.COST,
    "max_epochs": Meaning.LABEL,
    "log_every_n_steps": Meaning.LABEL,
    "enable_checkpointing": Meaning.LABEL,
    "enable_progress_bar": Meaning.LABEL,
    "enable_model_summary": Meaning.LABEL,
    "use_distributed_sampler": Meaning.LABEL,
    "default_root_dir": Meaning.LABEL,
}
# Settings that came after the first runs, with the values that mean what was done before: these change no name of a run
# and no comparison.
LATER_SETTINGS: dict[str, dict[str, Any]] = {
    "critic": {"held_out": 0.0, "check_every_n_steps": 1000, "keep": "last"},
    "planner": {"tilt": None},
}
# Names that mean the same in whatever group they occur.
NAMES_IN_GROUPS = {
    "seed": Meaning.SEED,
    "data_dir": Meaning.LABEL,
    "path": Meaning.LABEL,
    "paper_scores": Meaning.LABEL,
    "max_memory_gib": Meaning.COST,  # In stored results only: planners had it once.
    "fast_networks": Meaning.COST,
    "compile": Meaning.COST,
}
# Words of a command line that are no settings of the composed config and that the ablation label leaves out: places,
# and a planner, of which a task admits one kind.
_UNNAMED_WORDS = ("source.path", "experiment", "debug", "hydra", "planner=guided_planner", "planner=waypoint_planner")
# Groups that mostly repeat what other groups say, and widths that follow from what a plan holds.
_FOLLOWING_GROUPS = ("module.", "datamodule.", "loss.", "task.", "critic.")
_DERIVED_NAMES = ("transition_dim", "action_dim", "observation_dim")


def meaning_of(key: str) -> Meaning | None:
    """What a setting changes.

    Args:
        key: Dotted, as on a command line.

    Returns:
        None for a key that no table classifies.
    """
    head, *rest = key.split(".")
    if head not in SETTINGS:
        return None
    if rest and rest[-1] in NAMES_IN_GROUPS:
        return NAMES_IN_GROUPS[rest[-1]]
    if head == "trainer":
        return TRAINER_SETTINGS.get(rest[0]) if rest else None
    return SETTINGS[head].meaning


def settings_of(command: str) -> dict[str, Setting]:
    """The settings of ``train``, ``plan``, ``schedulers`` or ``guidance``, by key."""
    return {key: setting for key, setting in SETTINGS.items() if command in setting.commands}


def is_derived(key: str) -> bool:
    """Whether a width follows from what a plan holds, whatever group it is in."""
    return key.rpartition(".")[2] in _DERIVED_NAMES


def follows(key: str) -> bool:
    """Whether a setting mostly repeats others, so that a report names the others first."""
    return key.startswith(_FOLLOWING_GROUPS) or key in ("normalizer.transition_dim", "step")


def short_hash(value: Any) -> str:
    """Eight letters that are equal for equal plain values."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def run_identity(config: DictConfig) -> dict[str, Any]:
    """What the weights of a training depend on; its hash is part of the run folder's name.

    The shape is the one that the first runs were hashed in, so that a run finds its folder again.

    Args:
        config: Composed from ``conf/train.yaml``.
    """
    identity = {key: _plain(config.trainer[key]) for key in TRAINER_SETTINGS if _trains(key)}
    hashed = ("seed", "module", "datamodule", "loss", "critic", "stages", "denoiser")
    # Module and datamodule hold the groups that they are built from.
    written_into_modules = ("backbone", "scheduler", "conditioning", "normalizer")
    groups = {key: _plain(config[key]) for key in (*hashed, *written_into_modules)}
    whole = with_whole_modules(_without_later(groups))
    identity |= {key: whole[key] for key in hashed}
    identity["datamodule"]["source"].pop("data_dir", None)
    return with_first_names(identity)


def plan_identity(config: DictConfig, checkpoint: str) -> dict[str, Any]:
    """What an evaluation of a checkpoint depends on; its hash is part of the evaluation folder's name.

    References to the task are kept as they are written, because the checkpoint decides the task.

    Args:
        config: Composed from ``conf/plan.yaml``.
        checkpoint: Name of the checkpoint's file, because a run keeps checkpoints of several steps in one folder.
    """
    everything: Any = _without_later(OmegaConf.to_container(config, resolve=False))  # type: ignore[arg-type]
    identity = {key: value for key, value in everything.items() if meaning_of(key) in _NAMED}
    # Evaluations that were made before there was this setting keep their folders.
    if identity.get("compare_without_guide") == 0:
        del identity["compare_without_guide"]
    return with_first_names(identity | {"checkpoint": checkpoint})


def ablation_label(overrides: Sequence[str]) -> str:
    """Names what a run changes beside task and seed: ``window.horizon=64,optimizer.lr=0.001``, or ``default``.

    Args:
        overrides: The words of the command line.
    """
    changes = sorted(override.lstrip("+~") for override in overrides if _is_named(override))
    text = re.sub(r"[^\w=.,+-]", "-", ",".join(changes)) or "default"
    # The label names folders and W&B groups, which may have 128 letters.
    return text if len(text) <= 100 else f"{text[:91]}-{short_hash(text)}"


def _is_named(override: str) -> bool:
    key = override.split("=", 1)[0].lstrip("+~")
    head = key.split(".")[0]
    if override in _UNNAMED_WORDS or key in _UNNAMED_WORDS or head in _UNNAMED_WORDS:
        return False
    if head not in SETTINGS:
        return True
    return SETTINGS[head].meaning in _NAMED or key.startswith("task.")


def tried_words(label: str) -> list[str]:
    """The words of an ablation label that change the numbers, without those that say how much was evaluated."""
    words = re.split(r",(?=[\w./@+~-]+=)", label)
    return [w for w in words if w != "default" and meaning_of(w.partition("=")[0]) is not Meaning.EVALUATION]


def experiment_config(
    trained: Mapping[str, Any], critic: Mapping[str, Any] | None = None, planned: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Joins what a model was trained with and what it planned with, as if one command had done both.

    Args:
        trained: Resolved config of the denoiser's training.
        critic: The same of the critic's, where it was trained by another command.
        planned: Resolved config of ``diffplan-plan``; None where training evaluates itself.
    """
    # A module keeps the scheduler that it was trained with, whatever scheduler plans.
    config = with_whole_modules(trained)
    if critic is not None:
        config["critic"] = with_whole_modules(critic)["critic"]
    if planned is not None:
        config |= {key: planned[key] for key in SETTINGS if meaning_of(key) is Meaning.PLANS}
        config |= {key: planned[key] for key in ("task", "scheduler")}
    return config


def comparable_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Lists the settings that results averaged together must share: all but seeds, labels and cost.

    A setting that only repeats another group's, as ``module.backbone.dim`` repeats ``backbone.dim``, is left out.

    Args:
        config: Resolved, see ``experiment_config``.

    Returns:
        Values by dotted key, in the order of ``SETTINGS``.
    """
    config = with_whole_modules(_without_later(config))
    chosen = {key: config[key] for key in COMPARED if key in config}
    trainer = config.get("trainer") or {}
    chosen["trainer"] = {key: trainer[key] for key in TRAINER_SETTINGS if key in trainer and _trains(key)}
    flat = dict(_leaves(with_first_names(chosen), ""))
    return {key: value for key, value in flat.items() if not _repeats(key, value, flat)}


def result_hash(config: Mapping[str, Any]) -> str:
    """Eight letters that are equal for results that differ in their seed at most."""
    return short_hash(comparable_settings(config))


def _without_later(config: Mapping[str, Any]) -> dict[str, Any]:
    """Copies groups without the settings that came later and change nothing."""
    copied = dict(config)
    for group, later in LATER_SETTINGS.items():
        if isinstance(settings := copied.get(group), Mapping):
            copied[group] = {key: value for key, value in settings.items() if key not in later or value != later[key]}
    return copied


def _leaves(node: Any, prefix: str) -> list[tuple[str, Any]]:
    if not isinstance(node, Mapping) or not node:
        return [(prefix, node)]
    return [
        leaf
        for key, value in node.items()
        if key not in NAMES_IN_GROUPS
        for leaf in _leaves(value, f"{prefix}.{key}" if prefix else str(key))
    ]


def _repeats(key: str, value: Any, flat: Mapping[str, Any]) -> bool:
    parts = key.split(".")
    shorter = (".".join(parts[start:]) for start in range(1, len(parts)))
    return any(other in flat and flat[other] == value for other in shorter)


def _trains(key: str) -> bool:
    return TRAINER_SETTINGS.get(key) is Meaning.WEIGHTS


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
