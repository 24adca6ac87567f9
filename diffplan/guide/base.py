"""What a guide is to samplers and planners."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor

from diffplan.critic import TrajectoryCritic
from diffplan.shapes import Trajectories


class AbstractGuide(ABC):
    """An objective on noisy trajectories whose gradient steers the denoising.

    Args:
        critic: The trained critic; None where there is none.

    Attributes:
        critic: See there.
        num_steps: Guide steps a denoising step.
    """

    num_steps: int = 0

    def __init__(self, critic: TrajectoryCritic | None) -> None:
        self.critic = critic

    @abstractmethod
    def acts_at(self, timestep: int) -> bool:
        """Whether trajectories of this diffusion timestep are steered at all."""

    @abstractmethod
    def shift(self, trajectories: Trajectories, timestep: Tensor, variance: Float[Tensor, ""]) -> Trajectories:
        """Returns what is to be added to noisy normalised trajectories for one guide step.

        Args:
            trajectories: Where the gradient is taken.
            timestep: Their diffusion timestep, one for all.
            variance: Posterior variance of the denoising step that is being taken.
        """

    @abstractmethod
    def values(self, trajectories: Trajectories, timestep: Tensor) -> Float[Tensor, " batch"] | None:
        """Judges trajectories, greater is better, in units of reward; None where there is nothing to judge by.

        Args:
            trajectories: Normalised.
            timestep: Their diffusion timestep, one for all; 0 for finished plans.
        """
