"""What every dataset source yields, whatever its format."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float32


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
    """A data set: first ``prepare`` (one process, may download or generate), then ``episodes`` (every process)."""

    @abstractmethod
    def prepare(self) -> None:
        """Makes sure the data is on disk, complete and verified; does nothing where it is.

        Raises:
            DataError: it cannot be had; the message names the command that gets it.
        """

    @abstractmethod
    def episodes(self) -> Iterator[Episode]:
        """Yields all episodes in file order.

        Raises:
            DataError: the data is malformed.
        """

    @abstractmethod
    def identity(self) -> DataIdentity:
        """Says which data this is; call after ``prepare``."""
