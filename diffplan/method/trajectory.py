"""How a plan is laid out in columns, and a batch of training windows."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class TransitionLayout:
    """Says which columns of a plan row are the action and which are the observation: ``[action | observation]``.

    ``action_dim`` is 0 for a model that plans observations only.
    """

    action_dim: int
    observation_dim: int

    @property
    def transition_dim(self) -> int:
        """Width of one plan row."""
        return self.action_dim + self.observation_dim

    @property
    def actions(self) -> slice:
        """The action columns."""
        return slice(0, self.action_dim)

    @property
    def observations(self) -> slice:
        """The observation columns."""
        return slice(self.action_dim, self.transition_dim)

    def join(
        self, actions: Float[Tensor, "*rows action"], observations: Float[Tensor, "*rows observation"]
    ) -> Float[Tensor, "*rows transition"]:
        """Puts actions and observations side by side; actions are dropped where the layout has none."""
        if self.action_dim == 0:
            return observations
        return torch.cat([actions, observations], dim=-1)


@dataclass(frozen=True)
class TrajectoryBatch:
    """A batch of normalised windows.

    Attributes:
        trajectories: Normalised windows.
        valid: False where a row lies past the end of its episode and was padded.
        number: How many batches came before this one since training began; the same on all processes. The noise of a
            training step depends on the run's seed and this number only, so a resumed run draws the same noise.
        returns: Return-to-go of each window's first row; None where no critic is trained.
    """

    trajectories: Float[Tensor, "batch horizon transition"]
    valid: Bool[Tensor, "batch horizon"]
    number: int
    returns: Float[Tensor, " batch"] | None = None
