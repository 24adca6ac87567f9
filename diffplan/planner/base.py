"""What turns a trained model into actions for many environments at once."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float


class AbstractPlanner(ABC):
    """A controller of a batch of environments; all environments are planned in one batch on the model's device."""

    @abstractmethod
    def reset(
        self,
        observations: Float[np.ndarray, "env observation"],
        targets: Float[np.ndarray, "env 2"] | None,
        seeds: Sequence[int],
    ) -> None:
        """Begins episodes.

        Args:
            observations: First observations, raw units.
            targets: Goals as (x, y) in metres; None where the task has none.
            seeds: One per environment; equal seeds give equal plans, whatever else is in the batch.
        """

    @abstractmethod
    def act(
        self, observations: Float[np.ndarray, "env observation"], active: Bool[np.ndarray, " env"]
    ) -> Float[np.ndarray, "env action"]:
        """Returns one raw action an environment; those of finished environments are ignored."""

    @abstractmethod
    def plans(self) -> Float[np.ndarray, "env row observation"] | None:
        """The observations imagined at the last planning, raw units."""
