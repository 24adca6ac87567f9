from jaxtyping import Float
from torch import Tensor

from diffplan.critic import TrajectoryCritic
from diffplan.guide.base import AbstractGuide
from diffplan.shapes import Trajectories


class NoGuide(AbstractGuide):
    """Steers nowhere and prefers nothing: plans are samples of the data's behaviour."""

    def __init__(self, critic: TrajectoryCritic | None = None) -> None:
        # A critic that happens to be there is not asked.
        super().__init__(None)

    def acts_at(self, timestep: int) -> bool:
        """Never."""
        return False

    def shift(self, trajectories: Trajectories, timestep: Tensor, variance: Float[Tensor, ""]) -> Trajectories:
        """Nothing."""
        return trajectories.new_zeros(trajectories.shape)

    def values(self, trajectories: Trajectories, timestep: Tensor) -> None:
        """No judgement."""
        return
