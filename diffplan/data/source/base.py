"""What every source of data hands over, whatever format its files have."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Int64

from diffplan.errors import DataError, TaskMismatchError


@dataclass(frozen=True, repr=False)
class Episode:
    """One episode in raw units; row ``i`` holds the observation before action ``i`` and the reward after it.

    Attributes:
        observations: Observations before each action.
        actions: Actions as recorded.
        rewards: Reward of each action.
        terminated: The last action ended the task (the environment's own terminal state).
        truncated: The recording stopped there for another reason (time limit, segmentation, end of file).
    """

    observations: Float32[np.ndarray, "length observation"]
    actions: Float32[np.ndarray, "length action"]
    rewards: Float32[np.ndarray, " length"]
    terminated: bool
    truncated: bool

    def __len__(self) -> int:
        return len(self.observations)

    def __repr__(self) -> str:
        return (
            f"Episode(length={len(self)}, observations={self.observations.shape}, actions={self.actions.shape}, "
            f"return={self.rewards.sum():.2f}, terminated={self.terminated}, truncated={self.truncated})"
        )


@dataclass(frozen=True, repr=False)
class Transitions:
    """All episodes of a data set in raw units, one after another in flat arrays.

    Row ``i`` holds the observation before action ``i`` and the reward after it.

    Attributes:
        observations: Observations before each action.
        actions: Actions as recorded.
        rewards: Reward of each action.
        ends: Row behind the last row of each episode, ascending; the last one is the number of rows.
        terminated: Whether each episode ended in a terminal state of the environment. The others were truncated.
    """

    observations: Float32[np.ndarray, "rows observation"]
    actions: Float32[np.ndarray, "rows action"]
    rewards: Float32[np.ndarray, " rows"]
    ends: Int64[np.ndarray, " episode"]
    terminated: Bool[np.ndarray, " episode"]

    def __len__(self) -> int:
        return len(self.observations)

    @classmethod
    def from_episodes(cls, episodes: Iterable[Episode]) -> "Transitions":
        """Joins episodes, for formats that store each episode in arrays of its own.

        Raises:
            DataError: there is no episode.
        """
        kept = list(episodes)
        if not kept:
            raise DataError("the data set holds no episode.")
        return cls(
            np.concatenate([episode.observations for episode in kept]),
            np.concatenate([episode.actions for episode in kept]),
            np.concatenate([episode.rewards for episode in kept]),
            np.cumsum([len(episode) for episode in kept], dtype=np.int64),
            np.array([episode.terminated for episode in kept], dtype=np.bool_),
        )

    @property
    def lengths(self) -> Int64[np.ndarray, " episode"]:
        """Rows of each episode."""
        return np.diff(self.ends, prepend=0)

    def episodes(self) -> Iterator[Episode]:
        """Yields a view of each episode; nothing is copied."""
        start = 0
        for end, terminated in zip(self.ends.tolist(), self.terminated.tolist(), strict=True):
            rows = slice(start, end)
            yield Episode(
                self.observations[rows], self.actions[rows], self.rewards[rows], terminated, truncated=not terminated
            )
            start = end


@dataclass(frozen=True)
class DataIdentity:
    """Which data a model was trained on; stored in every checkpoint and result.

    Attributes:
        name: Dataset id, for instance ``maze2d-umaze-v1``.
        kind: Where the numbers come from. Only ``d4rl`` data may be reported as D4RL results.
        sha256: Hash of the file (or of all arrays, where there is no single file).
        num_transitions: Rows in the data set.
    """

    name: str
    kind: Literal["d4rl", "regenerated", "collected", "minari", "file"]
    sha256: str
    num_transitions: int


class AbstractSource(ABC):
    """A data set. One process calls ``prepare``, which may download or generate; every process then calls ``read``."""

    @abstractmethod
    def prepare(self) -> None:
        """Makes sure the data is on disk, complete and verified: finds it, downloads it or generates it.

        Raises:
            DataError: it cannot be had; the message names the command that gets it.
        """

    @abstractmethod
    def read(self) -> Transitions:
        """Reads all episodes in file order.

        Raises:
            DataError: the data is not there or malformed.
            TaskMismatchError: its dimensions are not the task's.
        """

    @abstractmethod
    def identity(self) -> DataIdentity:
        """Says which data this is; call after ``prepare``.

        Raises:
            DataError: the data is not there or malformed.
        """

    def episodes(self) -> Iterator[Episode]:
        """Yields the episodes that ``read`` finds, for looking at them one by one."""
        return self.read().episodes()


def check_dimensions(task: str, declared: Sequence[int | None], data: str, found: Sequence[int], remedy: str) -> None:
    """Checks that observations and actions have the widths that a task declares.

    Args:
        task: The task, for the message.
        declared: Width of observations and of actions; None allows any width.
        data: The data, for the message.
        found: Width of observations and of actions.
        remedy: What to do about a mismatch: the last sentence of the message.

    Raises:
        TaskMismatchError: They have other widths.
    """
    for name, planned, width in zip(("observation_dim", "action_dim"), declared, found, strict=True):
        if planned not in (None, width):
            raise TaskMismatchError(f"{task} declares {name}={planned} but {data} has {width}. {remedy}")
