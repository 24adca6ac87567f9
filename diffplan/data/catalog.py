"""The published D4RL files: where they are, how large, and their hashes."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from diffplan.errors import DataError


@dataclass(frozen=True)
class CatalogEntry:
    """One published D4RL data set.

    Attributes:
        name: D4RL id, for instance ``hopper-medium-expert-v2``.
        url_path: Address of the file below D4RL's base address.
        num_bytes: Published size of the file; None where none is known.
        sha256: Published hash of the file; None where none is known.
        num_transitions: Rows of the file; None where no reliable number is known.
        observation_dim: Width of an observation.
        action_dim: Width of an action.
        keys: Arrays the file holds; policy weights below ``metadata/`` are left out.
        max_episode_steps: Episode length of the environment.
        reference_min: D4RL's return of the random policy (score 0).
        reference_max: D4RL's return of the reference controller (score 100).
        target: Fixed evaluation goal as (x, y) in metres; None where there is none.
        statistics: Published statistics of the whole file, one value per dimension, under
            ``{observation,action,reward}_{mean,std,min,max}``; empty where none are known.
    """

    name: str
    url_path: str
    num_bytes: int | None
    sha256: str | None
    num_transitions: int | None
    observation_dim: int
    action_dim: int
    keys: tuple[str, ...]
    max_episode_steps: int
    reference_min: float
    reference_max: float
    target: tuple[float, float] | None
    statistics: Mapping[str, tuple[float, ...]]

    @property
    def file_name(self) -> str:
        """Name of the file, the same in D4RL's cache."""
        return self.url_path.rsplit("/", 1)[-1]


BASE_URL = "http://rail.eecs.berkeley.edu/datasets/offline_rl/"


@cache
def catalog() -> dict[str, CatalogEntry]:
    """All known data sets by name."""
    rows = json.loads(Path(__file__).with_name("d4rl_catalog.json").read_text(encoding="utf-8"))
    return {name: _entry(name, row) for name, row in rows.items()}


def dataset(name: str) -> CatalogEntry:
    """Looks a data set up by its D4RL id.

    Raises:
        DataError: No published data set has this name; the message suggests close ones.
    """
    entry = catalog().get(name)
    if entry is None:
        raise DataError(f"There is no D4RL data set '{name}'; {suggestion(name, tuple(catalog()))}")
    return entry


def suggestion(name: str, known: tuple[str, ...]) -> str:
    """Ends a sentence about an unknown name with what may have been meant."""
    close = get_close_matches(name, known, n=3, cutoff=0.6)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return "`diffplan-data list` shows all of them."


def dataset_url(entry: CatalogEntry, base_url: str | None = None) -> str:
    """Address of a data set.

    Args:
        entry: The data set.
        base_url: Address of a mirror; the environment variable ``D4RL_BASE_URL`` or D4RL's own if None.
    """
    base = base_url or os.environ.get("D4RL_BASE_URL") or BASE_URL
    return f"{base.rstrip('/')}/{entry.url_path}"


def cache_dir() -> Path:
    """D4RL's own cache folder, ``$D4RL_DATASET_DIR`` or ``~/.d4rl/datasets``, which a d4rl installation shares."""
    configured = os.environ.get("D4RL_DATASET_DIR")
    return Path(configured).expanduser() if configured else Path.home() / ".d4rl" / "datasets"


def _entry(name: str, row: dict) -> CatalogEntry:
    return CatalogEntry(
        name=name,
        url_path=row["url_path"],
        num_bytes=row["num_bytes"],
        sha256=row["sha256"],
        num_transitions=row["num_transitions"],
        observation_dim=row["observation_dim"],
        action_dim=row["action_dim"],
        keys=tuple(row["keys"]),
        max_episode_steps=row["max_episode_steps"],
        reference_min=row["reference_min"],
        reference_max=row["reference_max"],
        target=None if row["target"] is None else (row["target"][0], row["target"][1]),
        statistics={key: tuple(values) for key, values in row["statistics"].items()},
    )
