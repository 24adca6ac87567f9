"""Defines the record of one evaluation, which is stored as ``results.json``."""

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

# The summary of a W&B run holds the whole record under this key.
RESULT_KEY = "diffplan/result"
# A million episodes take half of this.
_MOST_BYTES = 2**27


class EpisodeScores(BaseModel):
    """Holds the outcome of every episode of one protocol, and what the planner's decisions cost.

    Attributes:
        seeds: Seed of each episode; no two are equal.
        returns: Undiscounted return of each episode.
        scores: D4RL-normalised score of each return.
        lengths: Number of environment steps of each episode.
        latched_scores: Score of each episode if every step after the goal was first reached counted; None for tasks
            without a goal.
        reference_min: Return that scores 0.
        reference_max: Return that scores 100.
        decision_seconds: Mean wall time that the planner takes for one environment step.
        decision_cpu_seconds: Mean processor time that the planner takes for one environment step.
        decision_gflop: Operations of the planner for one environment step, in 1e9; None if the planner does not count
            them.
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
    """Identifies a file by its path and its content.

    Attributes:
        path: The path that the user gave.
        sha256: Hash of the content.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    sha256: str

    @classmethod
    def of(cls, path: Path) -> "FileIdentity":
        """Reads a file and hashes its content."""
        with path.open("rb") as file:
            return cls(path=str(path), sha256=hashlib.file_digest(file, "sha256").hexdigest())


class WandbIdentity(BaseModel):
    """Identifies the W&B run that a result belongs to.

    Attributes:
        entity: Team or user; None means the account's default.
        project: Name of the project.
        run_id: Identifier of the run, eight letters.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    entity: str | None
    project: str
    run_id: str


# This matches a list of numbers that is spread over lines. A string cannot match, because JSON writes its line breaks
# as \\n.
_COLUMN = re.compile(r"\[\n([^\[\]{}\"]*)\n *\]")


class Result(BaseModel):
    """Records one evaluation of one model, and the facts that decide which other results it may be compared with.

    Attributes:
        schema_version: Version of this record's format; a file of another version is refused.
        job: Command that evaluated the model: ``train`` or ``plan``.
        task: D4RL id of the task.
        name: The run's ``name``, one word for what was tried.
        seed: Seed of training.
        ablation: Settings that the run changed, or ``default``.
        sweep: Name of the sweep that the run was a cell of; None outside a sweep.
        step: Number of optimiser steps that the model was trained for.
        final: False if the evaluation took place during training.
        protocols: Outcome of the episodes by protocol, ``single_task`` or ``multi2d``; empty if no episode was played.
        metrics: Metrics that the loggers were given.
        cost: Wall seconds and CPU seconds of each stage of training.
        data: Identity of the training data: ``name``, ``kind``, ``sha256``, ``num_transitions``.
        environment: Versions that the environment's numbers depend on, see ``env_version``.
        versions: Versions of the code and of libraries, see ``versions``.
        config: Resolved settings of training and planning together.
        config_hash: Hash that is equal for results that differ in their seed at most.
        checkpoint: File of the denoiser.
        critic: File of the critic; None if no critic took part.
        wandb: The W&B run; None if W&B was not used.
        notes: Sentences of warning about what was trained.
        created: Time at which the record was made, ISO 8601, UTC.
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
    notes: list[str] = []
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @classmethod
    def of_run(
        cls,
        run: dict[str, Any],
        trained: dict[str, Any] | None = None,
        critic_trained: dict[str, Any] | None = None,
        **facts: Any,
    ) -> "Result":
        """Builds a record, taking from the config what it states.

        Args:
            run: Resolved config of the command that evaluates: of ``diffplan-plan`` if ``trained`` is given, of
                ``diffplan-train`` otherwise.
            trained: Resolved config that the denoiser was trained with; None if this command trained it.
            critic_trained: Resolved config that the critic was trained with; None if this command trained it.
            facts: The attributes that the config does not state.
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
            text: The record as JSON.

        Raises:
            ResultError: The text is no result, is broken, or has another schema version; the message says which.
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
        """Returns the record as JSON with one fact on each line and each list of numbers on one line."""
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
