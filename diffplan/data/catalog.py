"""The published D4RL files: addresses, sizes and hashes, and which files count as D4RL's own data."""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from diffplan.errors import DataError, closest
from diffplan.files import user_path

logger = logging.getLogger(__name__)

BASE_URL = "http://rail.eecs.berkeley.edu/datasets/offline_rl/"


@dataclass(frozen=True)
class CatalogEntry:
    """One published D4RL data set.

    Attributes:
        name: D4RL id, for instance ``hopper-medium-expert-v2``.
        url_path: Address of the file below D4RL's base address.
        num_bytes: Published size of the file; None if unknown.
        sha256: Published hash of the file; None if unknown.
        num_transitions: Number of rows of the file; None if no reliable number is known.
        observation_dim: Width of an observation.
        action_dim: Width of an action.
        keys: Arrays of the file, without the policy weights below ``metadata/``.
        max_episode_steps: Episode length of the environment.
        reference_min: D4RL's return of the random policy (score 0).
        reference_max: D4RL's return of the reference controller (score 100).
        target: Fixed evaluation goal as (x, y) in metres; None if the task has no goal.
        statistics: Published statistics of the whole file under ``{observation,action,reward}_{mean,std,min,max}``, one
            value per dimension; empty if unknown.
    """

    name: str
    url_path: str
    num_bytes: int | None
    sha256: str | None
    num_transitions: int | None
    observation_dim: int
    action_dim: int
    keys: Sequence[str]
    max_episode_steps: int
    reference_min: float
    reference_max: float
    target: Sequence[float] | None
    statistics: Mapping[str, Sequence[float]]

    @property
    def file_name(self) -> str:
        """Name of the file on the server and in D4RL's cache."""
        return self.url_path.rsplit("/", 1)[-1]


@cache
def catalog() -> dict[str, CatalogEntry]:
    """Returns all known data sets by name."""
    rows = json.loads(Path(__file__).with_name("d4rl_catalog.json").read_text(encoding="utf-8"))
    return {name: CatalogEntry(name=name, **row) for name, row in rows.items()}


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
    """Returns the end of a sentence about an unknown name: the most similar known name."""
    ending = closest(name, known).removeprefix("; ")
    return "`diffplan data list` shows all of them." if ending == "." else ending


def dataset_url(entry: CatalogEntry, base_url: str | None = None) -> str:
    """Returns the address of a data set.

    Args:
        entry: The data set.
        base_url: Address of a mirror. If None, ``$D4RL_BASE_URL``, or D4RL's own address if that is not set.
    """
    base = base_url or os.environ.get("D4RL_BASE_URL") or BASE_URL
    return f"{base.rstrip('/')}/{entry.url_path}"


def cache_dir() -> Path:
    """Returns D4RL's cache folder, shared with a d4rl installation: ``$D4RL_DATASET_DIR`` or ``~/.d4rl/datasets``."""
    configured = os.environ.get("D4RL_DATASET_DIR")
    return user_path(configured) if configured else Path.home() / ".d4rl" / "datasets"


def provenance(
    sha256: str,
    num_transitions: int,
    metadata: Mapping[str, str | int | float],
    entry: CatalogEntry | None,
    from_d4rl: bool,
) -> Literal["d4rl", "regenerated", "collected", "file"]:
    """Decides where the numbers of a file come from. Only results on ``d4rl`` data may be reported as D4RL results.

    Args:
        sha256: Hash of the file.
        num_transitions: Number of rows of the file.
        metadata: What the file says about itself.
        entry: The published data set that the file claims to be; None if there is none.
        from_d4rl: Whether the file lies in D4RL's cache, where D4RL or a download put it.

    Returns:
        ``d4rl`` if the hash is the published one. If none is published, ``d4rl`` also if the file lies in D4RL's cache,
        has the published number of rows and does not say otherwise. ``regenerated`` or ``collected`` if the file says
        so. ``file`` in all other cases.
    """
    if entry is not None and entry.sha256 == sha256:
        return "d4rl"
    # The metadata of D4RL's own files names algorithms and policies, but never a generator.
    if "generator" in metadata and "recipe" in str(metadata["generator"]):
        return "regenerated"
    words = " ".join(str(value) for value in metadata.values()).lower()
    if "generator" in metadata or "not d4rl" in words or "not a d4rl" in words:
        return "collected"
    if entry is None or not from_d4rl:
        return "file"
    if entry.sha256 is not None:
        logger.warning("%s does not have the published hash, so it does not count as D4RL's data.", entry.file_name)
        return "file"
    if entry.num_transitions not in (None, num_transitions):
        logger.warning(
            "%s has %s rows instead of D4RL's %s, so it does not count as D4RL's data.",
            entry.file_name,
            f"{num_transitions:,}",
            f"{entry.num_transitions:,}",
        )
        return "file"
    return "d4rl"
