import re
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from diffplan.errors import ResultError
from diffplan.result.comparable_settings import config_hash, experiment_config
from diffplan.result.episode_scores import EpisodeScores
from diffplan.result.file_identity import FileIdentity
from diffplan.result.versions import versions
from diffplan.result.wandb_identity import WandbIdentity

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
        named |= {"task": run["task"]["name"], "config": config, "config_hash": config_hash(config)}
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
