"""Settings of a locomotion data set of one of D4RL's kinds."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from diffplan.data.catalog import CatalogEntry, dataset
from diffplan.data.source.d4rl_file import file_sha256
from diffplan.errors import ConfigError

# Part of every file's name and metadata. Increase it when a change makes the same settings give other rows.
_VERSION = 2
# Mean scores of D4RL's medium sets. For the ant, D4RL's rule of thumb: a third of the reference.
MEDIUM_SCORES = {"hopper": 44.0, "walker2d": 62.0, "halfcheetah": 41.0, "ant": 33.0}
_PARTS = {
    "random": ("random",),
    "medium": ("medium",),
    "medium-replay": ("replay",),
    "medium-expert": ("medium", "expert"),
    "expert": ("expert",),
}
_NAME = re.compile(rf"({'|'.join(MEDIUM_SCORES)})-({'|'.join(_PARTS)})-v2")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Settings of the training by SAC, and the seed.

    Attributes:
        seed: Seed of training and recording.
        train_steps: Environment steps of the training. The policy at the end is the expert. A longer training continues
            a shorter one.
        hidden_width: Units in each of the policy's two hidden layers.
        batch_size: Transitions in a gradient step. There is one gradient step per environment step.
        learning_starts: Environment steps with random actions before the first gradient step.
        evaluate_every: Environment steps between evaluations. The training is saved at each evaluation.
        evaluation_episodes: Episodes in an evaluation.
    """

    seed: int = 0
    train_steps: int = 1_000_000
    hidden_width: int = 256
    batch_size: int = 256
    learning_starts: int = 10_000
    evaluate_every: int = 5_000
    evaluation_episodes: int = 10


_TRAINING_NUMBERS = [each.name for each in fields(TrainingSettings) if each.name != "seed"]


@dataclass(frozen=True)
class LocomotionRecipe(TrainingSettings):
    """One locomotion data set made by D4RL's protocol. The same recipe gives the same rows on one machine.

    SAC is trained from scratch. ``medium`` is the first policy whose score reaches ``medium_score``. ``medium-replay``
    is everything that the training played until then. ``expert`` is the policy at the end of the training.
    ``medium-expert`` is half medium and half expert. ``random`` draws actions uniformly. Policies act stochastically,
    and only complete episodes are kept.

    Attributes:
        name: D4RL id, for instance ``hopper-medium-expert-v2``.
        num_transitions: Maximum number of rows; an episode that does not fit is left out. If None, D4RL's 1,000,000 per
            policy. Must be None for ``medium-replay``, whose length the training decides.
        medium_score: D4RL-normalised score at which the policy is medium. If None, that of the body.
        policy_paths: Files of policies that stable-baselines3 saved, by part (``medium``, ``expert``). They are played
            instead of trained ones.

    Raises:
        ConfigError: The name is unknown, a number is out of range, or settings exclude each other.
        DataError: The file of a policy cannot be read.

    Reference: Fu et al., "D4RL: Datasets for Deep Data-Driven Reinforcement Learning", section 5.2.
    """

    name: str
    num_transitions: int | None = None
    medium_score: float | None = None
    policy_paths: Mapping[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"Only {{{','.join(MEDIUM_SCORES)}}}-{{{','.join(_PARTS)}}}-v2 can be collected, got {self.name!r}."
            )
        if self.kind == "medium-replay" and (self.num_transitions is not None or self.policy_paths):
            raise ConfigError(
                "medium-replay is everything that the training played until medium, so it takes neither --rows nor "
                "--policy; source.num_transitions uses only a part of the file."
            )
        if self.num_transitions is not None and self.num_transitions < len(self.parts):
            raise ConfigError(f"--rows must be at least {len(self.parts)}, got {self.num_transitions}.")
        if self.seed < 0:
            raise ConfigError(f"--seed must be at least 0, got {self.seed}.")
        for key in _TRAINING_NUMBERS:
            if getattr(self, key) < 1:
                raise ConfigError(f"--{key.replace('_', '-')} must be at least 1, got {getattr(self, key)}.")
        strange = sorted(set(self.policy_paths) - (set(self.parts) - {"random"}))
        if strange:
            raise ConfigError(f"--policy gives the part '{strange[0]}', which {self.name} does not take from a policy.")

    @property
    def domain(self) -> str:
        """Name of the body."""
        return self.name.split("-")[0]

    @property
    def kind(self) -> str:
        """D4RL's kind of data set, for instance ``medium-expert``."""
        return self.name.removeprefix(f"{self.domain}-").removesuffix("-v2")

    @property
    def env_id(self) -> str:
        """Environment, the same for all kinds of one body."""
        return f"{self.domain}-medium-v2"

    @property
    def parts(self) -> tuple[str, ...]:
        """Parts of the data set in the order of the file."""
        return _PARTS[self.kind]

    @property
    def rows_per_part(self) -> tuple[int, ...]:
        """Maximum number of rows of each part that is played."""
        rows = self.num_transitions if self.num_transitions is not None else 1_000_000 * len(self.parts)
        return (rows,) if len(self.parts) == 1 else (rows // 2, rows - rows // 2)

    @property
    def score_at_medium(self) -> float:
        """D4RL-normalised score at which the policy is medium."""
        return MEDIUM_SCORES[self.domain] if self.medium_score is None else self.medium_score

    @property
    def entry(self) -> CatalogEntry:
        """The published data set of the same name."""
        return dataset(self.name)

    @property
    def file_name(self) -> str:
        """File name that no other recipe and no file of D4RL has."""
        digest = hashlib.sha256(json.dumps(self.metadata(), sort_keys=True).encode()).hexdigest()
        rows = "" if self.kind == "medium-replay" else f"-{sum(self.rows_per_part)}"
        return f"{self.name}-collected-seed{self.seed}{rows}-{digest[:6]}.hdf5"

    def training_settings(self) -> dict[str, str | int]:
        """Returns the settings that decide how the training goes. How long it lasts is not one of them."""
        numbers = {key: getattr(self, key) for key in _TRAINING_NUMBERS if key != "train_steps"}
        return {"protocol_version": _VERSION, "env_id": self.env_id, "seed": self.seed, **numbers}

    def metadata(self) -> dict[str, str | int | float]:
        """Returns the settings that decide the rows. They do not depend on when or where the file is made."""
        values: dict[str, str | int | float] = {"protocol": "D4RL locomotion", "protocol_version": _VERSION}
        values |= {"name": self.name, "seed": self.seed}
        if self.kind != "medium-replay":
            values["max_transitions"] = sum(self.rows_per_part)
        trained = set(self.parts) - set(self.policy_paths) - {"random"}
        if trained:
            values |= {f"training/{key}": value for key, value in self.training_settings().items()}
            values["training/algorithm"] = "SAC of stable-baselines3"
        if "expert" in trained:
            values["training/train_steps"] = self.train_steps
        if trained & {"medium", "replay"}:
            values["training/medium_score"] = self.score_at_medium
        for part, path in sorted(self.policy_paths.items()):
            values[f"{part}/policy_sha256"] = file_sha256(path)
        return values
