import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import yaml

from diffplan.errors import CheckpointError
from diffplan.run.result import Result

# A folder of one machine in front of a file's name, and settings that only say where things lie.
_FOLDERS = re.compile(r"(?<![^\s=,:\[\"'])(?:~|[A-Za-z]:)?[/\\](?:[^/\\,\[\]\"']+[/\\])*")
_PLACES = ("paths.", "+paths.", "hydra.", "+hydra.")


@dataclass(frozen=True)
class TrainingRecipe:
    """What made a model's weights.

    Attributes:
        command: That trains it again; folders of the machine it ran on are left out. None where it is not known.
        commit: Of this project's code; None where it is not known.
        steps: Optimiser steps of the denoiser.
        seed: Of training.
        cpu_seconds: Of training, all stages together; None where it is not known.
        versions: Of the libraries, by name.
    """

    command: str | None
    commit: str | None
    steps: int
    seed: int
    cpu_seconds: float | None
    versions: dict[str, str]

    @classmethod
    def of_run(cls, folder: Path, steps: int, seed: int, result: Result | None) -> "TrainingRecipe":
        """Reads what a run has left.

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
        """Rows for a table, in reading order."""
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
