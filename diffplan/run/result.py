"""The result of one evaluation, as it is stored."""

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from diffplan.config.settings import experiment_config, result_hash
from diffplan.errors import ResultError
from diffplan.files import read_whole
from diffplan.run.versions import versions

# Key of a W&B run's summary that holds the whole record.
RESULT_KEY = "diffplan/result"
# A million episodes take half of this.
_MOST_BYTES = 2**27


class EpisodeScores(BaseModel):
    """How each episode of one protocol went, and what deciding cost.

    Attributes:
        seeds: One an episode, all different.
        returns: Undiscounted.
        scores: D4RL-normalised, of the returns.
        lengths: Environment steps.
        latched_scores: Score if every step after first reaching the goal counted; None where there is no goal.
        reference_min: Return that scores 0.
        reference_max: Return that scores 100.
        decision_seconds: Wall time in the planner for one environment step.
        decision_cpu_seconds: Processor time for the same.
        decision_gflop: Operations for the same, in 1e9; None where the planner does not count them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seeds: list[int]
    returns: list[float]
    scores: list[float]
    lengths: list[int]
    latched_scores: list[float] | None
    reference_min: float
    reference_max: float
    decision_seconds: float
    decision_cpu_seconds: float
    decision_gflop: float | None

    @model_validator(mode="after")
    def _check(self) -> "EpisodeScores":
        columns: list[Sequence[float]] = [self.returns, self.scores, self.lengths]
        if self.latched_scores is not None:
            columns.append(self.latched_scores)
        if any(len(column) != len(self.seeds) for column in columns):
            raise ValueError("every episode must have a seed, a return, a score and a length")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("two episodes have the same seed")
        return self


class FileIdentity(BaseModel):
    """A file by where it lay and what it held.

    Attributes:
        path: As it was named.
        sha256: Hash of its content.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    sha256: str

    @classmethod
    def of(cls, path: Path) -> "FileIdentity":
        """Reads and hashes a file."""
        with path.open("rb") as file:
            return cls(path=str(path), sha256=hashlib.file_digest(file, "sha256").hexdigest())


class WandbIdentity(BaseModel):
    """Which W&B run a result belongs to.

    Attributes:
        entity: Team or user; None for the account's default.
        project: Project.
        run_id: Eight letters.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    entity: str | None
    project: str
    run_id: str


# A list of numbers spread over lines; line breaks inside a string are written as \\n, so none is touched.
_COLUMN = re.compile(r"\[\n([^\[\]{}\"]*)\n *\]")


class Result(BaseModel):
    """One evaluation of one model, with all that tells whether it may be compared with another.

    Attributes:
        schema_version: Of this record; a file of another version is refused, not guessed at.
        job: Whether training evaluated itself or ``diffplan-plan`` did.
        task: D4RL id.
        name: What was tried, in one word; the run's ``name``.
        seed: Of training.
        ablation: What was changed, in words, or ``default``.
        sweep: The sweep that the run was a cell of.
        step: Optimiser steps trained.
        final: False for evaluations while training goes on.
        protocols: Episodes by protocol, ``single_task`` or ``multi2d``; empty where nothing was played.
        metrics: What the loggers were given.
        cost: Seconds and CPU seconds of training, by stage.
        data: Identity of the training data: ``name``, ``kind``, ``sha256``, ``num_transitions``.
        environment: What the environment's numbers depend on, see ``env_version``.
        versions: Of code and libraries, see ``versions``.
        config: Resolved settings of training and planning together.
        config_hash: Equal for results that differ in their seed at most.
        checkpoint: The denoiser's.
        critic: The critic's checkpoint, where one took part.
        wandb: The W&B run, where there is one.
        created: When, ISO 8601, UTC.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    schema_version: Literal[1] = 1
    job: Literal["train", "plan"]
    task: str
    name: str
    seed: int
    ablation: str
    sweep: str | None = None
    step: int
    final: bool
    protocols: dict[str, EpisodeScores]
    metrics: dict[str, float]
    cost: dict[str, float]
    data: dict[str, str | int]
    environment: dict[str, str]
    versions: dict[str, str] = Field(default_factory=versions)
    config: dict[str, Any]
    config_hash: str
    checkpoint: FileIdentity | None
    critic: FileIdentity | None = None
    wandb: WandbIdentity | None = None
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @classmethod
    def of_run(
        cls,
        run: dict[str, Any],
        trained: dict[str, Any] | None = None,
        critic_trained: dict[str, Any] | None = None,
        **facts: Any,
    ) -> "Result":
        """Fills in what the config says.

        Args:
            run: Resolved config of the command: ``diffplan-train``'s, or with ``trained``, ``diffplan-plan``'s.
            trained: Resolved config that the denoiser was trained with, where another command did.
            critic_trained: The same of the critic.
            facts: The other attributes.
        """
        planned = None if trained is None else run
        config = experiment_config(run if trained is None else trained, critic_trained, planned)
        named = {key: run.get(key) for key in ("name", "seed", "ablation", "sweep")}
        named |= {"task": run["task"]["name"], "config": config, "config_hash": result_hash(config)}
        return cls.model_validate(named | facts)

    @classmethod
    def parse(cls, text: str | bytes) -> "Result":
        """Reads a record.

        Args:
            text: JSON.

        Raises:
            ResultError: it is no result, is broken, or has another schema version; the message says which.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise ResultError(_reason(error)) from None

    @classmethod
    def read(cls, path: Path) -> "Result":
        """Reads the record in a file.

        Raises:
            ResultError: as ``parse``, or it is no ordinary file of a sensible size.
            OSError: it cannot be read.
        """
        return cls.parse(read_whole(path, _MOST_BYTES))

    def to_json(self) -> str:
        """Writes the record for people and programs: a line a fact, a column of numbers on one line."""
        text = self.model_dump_json(indent=1)
        return _COLUMN.sub(lambda found: f"[{' '.join(found.group(1).split())}]", text) + "\n"


def _reason(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "json_invalid":
        return f"broken: {first['msg']}"
    if {e["loc"] for e in error.errors() if e["type"] == "missing"} >= {("protocols",), ("config_hash",)}:
        return "not a result of this version of diffplan"
    if where == "schema_version":
        return f"has schema version {first['input']}, this diffplan reads 1"
    return f"broken at {where}: {first['msg']}"
