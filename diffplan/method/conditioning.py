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
    """A rule that says which observations of a plan are given; the rest is generated around them (inpainting).

    Differs: Diffuser also overwrites the network's *output*. That is right only for ``prediction_type: sample``, where
        it changes nothing: the loss leaves these entries out, and every scheduler step works entry by entry.
    """

    @abstractmethod
    def rows(self, horizon: int) -> list[int]:
        """Returns the plan rows whose observations are given."""

    def mask(self, horizon: int, layout: TransitionLayout) -> Bool[Tensor, "1 horizon transition"]:
        """Returns True at the entries of a plan that are given."""
        mask = torch.zeros(1, horizon, layout.transition_dim, dtype=torch.bool)
        mask[:, self.rows(horizon), layout.observations] = True
        return mask

    def from_observations(
        self,
        observations: Float[Tensor, "batch given observation"],
        horizon: int,
        layout: TransitionLayout,
    ) -> Conditions:
        """Places normalised observations, in the order of ``rows``, into an otherwise unknown plan."""
        values = observations.new_zeros(len(observations), horizon, layout.transition_dim)
        values[:, self.rows(horizon), layout.observations] = observations
        return Conditions(self.mask(horizon, layout).to(values.device), values)


class FirstState(AbstractConditioning):
    """The plan starts at the current observation.

    Reference: Diffuser, Algorithm 1, line 9.
    """

    def rows(self, horizon: int) -> list[int]:
        return [0]


class StartAndGoal(AbstractConditioning):
    """The plan starts at the current observation and ends at the goal.

    Reference: Diffuser, section 3.3 (planning as inpainting) and 5.1 (Maze2D).
    """

    def rows(self, horizon: int) -> list[int]:
        return [0, horizon - 1]
