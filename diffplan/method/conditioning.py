"""Which entries of a plan are given, and how they are written into it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from diffplan.method.shapes import Trajectories
from diffplan.method.trajectory import TransitionLayout


@dataclass(frozen=True)
class Conditions:
    """Known entries of a batch of normalised trajectories.

    Attributes:
        mask: True where an entry is known.
        values: The known values; anything elsewhere.
    """

    mask: Bool[Tensor, "#batch horizon transition"]
    values: Float[Tensor, "batch horizon transition"]

    def apply(self, trajectories: Trajectories) -> Trajectories:
        """Writes the known entries over the given trajectories."""
        return torch.where(self.mask, self.values, trajectories)


class AbstractConditioning(ABC):
    """A rule of inpainting: which observations of a plan are given.

    Differs: Diffuser also overwrites the network's *output*, which is right only for ``prediction_type: sample`` and
        harmless there, since the loss leaves these entries out and every scheduler step works entry by entry.
    """

    @abstractmethod
    def rows(self, horizon: int) -> list[int]:
        """The plan rows whose observations are given."""

    def from_window(self, window: Trajectories, layout: TransitionLayout) -> Conditions:
        """Takes the given observations from a clean training window."""
        return Conditions(self._mask(window, layout), window)

    def from_observations(
        self,
        observations: Float[Tensor, "batch given observation"],
        horizon: int,
        layout: TransitionLayout,
    ) -> Conditions:
        """Places normalised observations, in the order of ``rows``, into an otherwise unknown plan."""
        values = observations.new_zeros(len(observations), horizon, layout.transition_dim)
        values[:, self.rows(horizon), layout.observations] = observations
        return Conditions(self._mask(values, layout), values)

    def _mask(self, trajectories: Trajectories, layout: TransitionLayout) -> Bool[Tensor, "1 horizon transition"]:
        _, horizon, transition_dim = trajectories.shape
        mask = torch.zeros(1, horizon, transition_dim, dtype=torch.bool, device=trajectories.device)
        mask[:, self.rows(horizon), layout.observations] = True
        return mask


class FirstState(AbstractConditioning):
    """The plan starts at the current observation.

    Reference: Diffuser, Algorithm 1, line 9.
    """

    def rows(self, horizon: int) -> list[int]:
        """The first row."""
        return [0]


class StartAndGoal(AbstractConditioning):
    """The plan starts at the current observation and ends at the goal.

    Reference: Diffuser, section 3.3 (planning as inpainting) and 5.1 (Maze2D).
    """

    def rows(self, horizon: int) -> list[int]:
        """The first and the last row."""
        return [0, horizon - 1]
