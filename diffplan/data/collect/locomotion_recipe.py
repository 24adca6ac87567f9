"""What a locomotion data set of D4RL's kinds is made of."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from diffplan.data.catalog import CatalogEntry, dataset
from diffplan.data.collect.sac_settings import SacSettings
from diffplan.data.source.d4rl_file import file_sha256
from diffplan.errors import ConfigError

# Raise it when the same settings come to give other rows: it is part of every file's name and metadata.
_VERSION = 1
# Mean scores of D4RL's medium sets; for the ant a third of its reference, which is D4RL's rule of thumb.
MEDIUM_SCORES = {"hopper": 44.0, "walker2d": 62.0, "halfcheetah": 41.0, "ant": 33.0}
_PARTS = {
    "random": ("random",),
    "medium": ("medium",),
    "medium-replay": ("replay",),
    "medium-expert": ("medium", "expert"),
    "expert": ("expert",),
}
_NAME = re.compile(rf"({'|'.join(MEDIUM_SCORES)})-({'|'.join(_PARTS)})-v2")


@dataclass(frozen=True)
class LocomotionRecipe:
    """One locomotion data set made by D4RL's protocol; the same recipe gives the same rows on one machine.

    SAC is trained from scratch. ``medium`` is the first policy whose score reaches ``medium_score``, ``medium-replay``
    everything the training played until then, ``expert`` the policy at the end, ``medium-expert`` half of each, and
    ``random`` draws actions uniformly. Policies act stochastically; whole episodes are kept.

    Attributes:
        name: D4RL id, for instance ``hopper-medium-expert-v2``.
        num_transitions: Most rows to collect, an episode that does not fit is left out; D4RL's 1,000,000 per policy
            if None. Must be None for ``medium-replay``, whose length the training decides.
        medium_score: D4RL-normalised score at which the training passes medium; the domain's if None.
        policy_paths: Policies saved by stable-baselines3 to play instead of trained ones, by part (``medium``,
            ``expert``).
        seed: Seeds training and collection.
        train_steps: Environment steps of the training.
        hidden_width: As in ``SacSettings``, like all below.
        batch_size: Same.
        learning_starts: Same.
        evaluate_every: Same.
        evaluation_episodes: Same.

    Raises:
        ConfigError: An unknown name, a number out of range, or settings that exclude each other.
        DataError: A policy's file cannot be read.

    Reference: Fu et al., "D4RL: Datasets for Deep Data-Driven Reinforcement Learning", section 5.2.
    """

    name: str
    num_transitions: int | None = None
    medium_score: float | None = None
    policy_paths: Mapping[str, Path] = field(default_factory=dict)
    seed: int = 0
    train_steps: int = 1_000_000
    hidden_width: int = 256
    batch_size: int = 256
    learning_starts: int = 10_000
    evaluate_every: int = 5_000
    evaluation_episodes: int = 10

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"Only {{{','.join(MEDIUM_SCORES)}}}-{{{','.join(_PARTS)}}}-v2 can be collected, got {self.name!r}."
            )
        if self.kind == "medium-replay" and (self.num_transitions is not None or self.policy_paths):
            raise ConfigError(
                "medium-replay is what the training played until medium, whole: it takes neither --rows nor --policy "
                "(source.num_transitions uses only a part)."
            )
        if self.num_transitions is not None and self.num_transitions < len(self.parts):
            raise ConfigError(f"--rows must be at least {len(self.parts)}, got {self.num_transitions}.")
        if self.train_steps < 1:
            raise ConfigError(f"--train-steps must be at least 1, got {self.train_steps}.")
        strange = sorted(set(self.policy_paths) - (set(self.parts) - {"random"}))
        if strange:
            raise ConfigError(f"--policy gives the part '{strange[0]}', which {self.name} does not take from a policy.")
        _ = self.settings  # raises where a number is out of range

    @property
    def domain(self) -> str:
        """Which body walks."""
        return self.name.split("-")[0]

    @property
    def kind(self) -> str:
        """Which of D4RL's kinds of set it is."""
        return self.name.removeprefix(f"{self.domain}-").removesuffix("-v2")

    @property
    def env_id(self) -> str:
        """Environment of all kinds of one domain."""
        return f"{self.domain}-medium-v2"

    @property
    def parts(self) -> tuple[str, ...]:
        """What the set is put together from, in the file's order."""
        return _PARTS[self.kind]

    @property
    def rows_per_part(self) -> tuple[int, ...]:
        """Most rows of each part that is played."""
        rows = self.num_transitions if self.num_transitions is not None else 1_000_000 * len(self.parts)
        return (rows,) if len(self.parts) == 1 else (rows // 2, rows - rows // 2)

    @property
    def score_at_medium(self) -> float:
        """D4RL-normalised score at which the training passes medium."""
        return MEDIUM_SCORES[self.domain] if self.medium_score is None else self.medium_score

    @property
    def entry(self) -> CatalogEntry:
        """The published set of the same name."""
        return dataset(self.name)

    @property
    def settings(self) -> SacSettings:
        """Settings of the training."""
        return SacSettings(
            env_id=self.env_id,
            seed=self.seed,
            hidden_width=self.hidden_width,
            batch_size=self.batch_size,
            learning_starts=self.learning_starts,
            evaluate_every=self.evaluate_every,
            evaluation_episodes=self.evaluation_episodes,
        )

    @property
    def file_name(self) -> str:
        """A name that no other recipe has, and none of D4RL's files."""
        digest = hashlib.sha256(json.dumps(self.metadata(), sort_keys=True).encode()).hexdigest()
        rows = "" if self.kind == "medium-replay" else f"-{sum(self.rows_per_part)}"
        return f"{self.name}-collected-seed{self.seed}{rows}-{digest[:6]}.hdf5"

    def metadata(self) -> dict[str, str | int | float]:
        """The settings that decide the rows; nothing in it depends on when or where the file is made."""
        values: dict[str, str | int | float] = {"protocol": "D4RL locomotion", "protocol_version": _VERSION}
        values |= {"name": self.name, "seed": self.seed}
        if self.kind != "medium-replay":
            values["max_transitions"] = sum(self.rows_per_part)
        trained = set(self.parts) - set(self.policy_paths) - {"random"}
        if trained:
            values |= {f"training/{key}": value for key, value in self.settings.values().items()}
            values["training/algorithm"] = "SAC of stable-baselines3"
        if "expert" in trained:
            values["training/train_steps"] = self.train_steps
        if trained & {"medium", "replay"}:
            values["training/medium_score"] = self.score_at_medium
        for part, path in sorted(self.policy_paths.items()):
            values[f"{part}/policy_sha256"] = file_sha256(path)
        return values
