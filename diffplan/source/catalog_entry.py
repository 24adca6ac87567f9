"""What is published about one D4RL data set."""

from collections.abc import Mapping
from dataclasses import dataclass


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
