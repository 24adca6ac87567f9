"""The folder of one policy training."""

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Shaped

from diffplan.data.collect.sac_milestone import SacMilestone
from diffplan.data.collect.sac_settings import SacSettings
from diffplan.data.collect.squashed_gaussian_policy import SquashedGaussianPolicy
from diffplan.data.collect.tensor_file import load_tensors
from diffplan.env.episode_recorder import Rows, join
from diffplan.errors import ConfigError, DataError
from diffplan.files import write_file


class SacArchive:
    """Keeps what a training has done up to its last milestone, so that it resumes there and every kind of set reads it.

    Holds ``training.json`` (settings, versions, milestones), and per milestone ``policy-<step>.npz`` (weights of the
    actor) and ``rows-<step>.npz`` (the steps since the one before), and ``learner-<step>.pt`` of the last. The json is
    written last: files it does not name do not count. Nothing in the folder is read as a pickle.

    Args:
        folder: Where it lies; it need not exist.
        settings: Of the training.

    Raises:
        ConfigError: A training with other settings lies there.
        DataError: What lies there is damaged.
    """

    def __init__(self, folder: Path, settings: SacSettings) -> None:
        self.folder = folder
        self.settings = settings
        self.milestones: tuple[SacMilestone, ...] = ()
        self.versions: dict[str, str] = {}
        self.reload()

    def reload(self) -> None:
        """Reads what is there now.

        Raises:
            ConfigError: A training with other settings lies there.
            DataError: What lies there is damaged.
        """
        path = self.folder / "training.json"
        if not path.exists():
            return
        try:
            content = json.loads(path.read_bytes())
            settings = dict(content["settings"])
            self.milestones = tuple(SacMilestone(**milestone) for milestone in content["milestones"])
            self.versions = dict(content["versions"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._damaged(path) from error
        asked = self.settings.values()
        different = sorted(name for name in asked | settings if asked.get(name) != settings.get(name))
        if different:
            name = different[0]
            raise ConfigError(
                f"{self.folder} holds a training with {name}={settings.get(name)}, but {name}={asked.get(name)} was "
                "asked for; take another --seed or --data-dir, or delete the folder."
            )

    def save(
        self,
        milestone: SacMilestone,
        actor: Mapping[str, Shaped[np.ndarray, "..."]],
        learner: Mapping[str, object],
        rows: Rows,
        versions: Mapping[str, str],
    ) -> None:
        """Adds a milestone.

        Args:
            milestone: The evaluation.
            actor: Weights of the policy.
            learner: Everything the learner needs to go on.
            rows: All steps since the milestone before.
            versions: Of the libraries that took those steps.

        Raises:
            DataError: The disk is full or the folder cannot be written; the milestone before still counts.
        """
        write_file(self._path("policy", milestone.step), _packed(actor))
        write_file(self._path("rows", milestone.step), _packed(rows))
        buffer = io.BytesIO()
        torch.save(dict(learner), buffer)
        write_file(self._path("learner", milestone.step), buffer.getvalue())
        before = self.milestones
        self.milestones = (*before, milestone)
        self.versions = {name: _both(self.versions.get(name), version) for name, version in versions.items()}
        content = {
            "settings": self.settings.values(),
            "versions": self.versions,
            "milestones": [asdict(known) for known in self.milestones],
        }
        write_file(self.folder / "training.json", (json.dumps(content, indent=1) + "\n").encode())
        for old in before:
            self._path("learner", old.step).unlink(missing_ok=True)

    def policy(self, milestone: SacMilestone) -> SquashedGaussianPolicy:
        """The policy at a milestone.

        Raises:
            DataError: Its file is missing or damaged.
        """
        path = self._path("policy", milestone.step)
        return SquashedGaussianPolicy(self._unpacked(path), str(path))

    def rows(self, last: SacMilestone) -> Rows:
        """All steps up to a milestone, in order: the replay buffer, which has forgotten nothing.

        Raises:
            DataError: A file is missing or damaged.
        """
        steps = [milestone.step for milestone in self.milestones if milestone.step <= last.step]
        return join([self._unpacked(self._path("rows", step)) for step in steps])

    def learner(self) -> dict[str, object]:
        """What the learner needs to go on from the last milestone.

        Raises:
            DataError: The file is missing or damaged.
        """
        path = self._path("learner", self.milestones[-1].step)
        try:
            return load_tensors(path.read_bytes())
        except (OSError, ValueError) as error:
            raise self._damaged(path) from error

    def _path(self, kind: str, step: int) -> Path:
        return self.folder / f"{kind}-{step:08d}.{'pt' if kind == 'learner' else 'npz'}"

    def _unpacked(self, path: Path) -> Rows:
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return dict(arrays)
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
            raise self._damaged(path) from error

    def _damaged(self, path: Path) -> DataError:
        return DataError(f"{path} is missing or damaged; delete {self.folder} to train from scratch.")


def _packed(arrays: Mapping[str, Shaped[np.ndarray, "..."]]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **dict(arrays))
    return buffer.getvalue()


def _both(known: str | None, version: str) -> str:
    """Names every version that had a part in a training."""
    parts: Iterable[str] = [] if known is None else known.split(", ")
    return ", ".join(dict.fromkeys([*parts, version]))
