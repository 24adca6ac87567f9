"""The five arrays every D4RL file comes down to."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32


@dataclass(frozen=True, repr=False)
class D4RLArrays:
    """All rows of one file in file order, raw units; row ``i`` is the observation before action ``i``.

    Attributes:
        observations: Observations before each action.
        actions: Actions as recorded.
        rewards: Reward of each action.
        terminals: The action ended the task.
        timeouts: The recording stopped after the action for another reason, as the file says.
        metadata: The file's single values below ``metadata/`` and its attributes, by path; arrays (policy weights) are
            left out.
    """

    observations: Float32[np.ndarray, "rows observation"]
    actions: Float32[np.ndarray, "rows action"]
    rewards: Float32[np.ndarray, " rows"]
    terminals: Bool[np.ndarray, " rows"]
    timeouts: Bool[np.ndarray, " rows"]
    metadata: Mapping[str, str | int | float]

    def __len__(self) -> int:
        return len(self.observations)

    def first(self, num_rows: int | None) -> "D4RLArrays":
        """The rows from the beginning; None keeps all."""
        columns = ("observations", "actions", "rewards", "terminals", "timeouts")
        return replace(self, **{column: getattr(self, column)[:num_rows] for column in columns})

    def __repr__(self) -> str:
        return f"D4RLArrays(rows={len(self)}, observations={self.observations.shape}, actions={self.actions.shape})"
