"""What a denoising network is to the rest of the house."""

from abc import ABC, abstractmethod

from torch import nn

from diffplan.method.shapes import Timesteps, Trajectories


class AbstractBackbone(nn.Module, ABC):
    """A network that maps noisy trajectories and diffusion timesteps to its prediction, shape for shape."""

    @abstractmethod
    def forward(self, trajectories: Trajectories, timesteps: Timesteps) -> Trajectories:
        """Predicts clean trajectories, noise or velocity, whichever the scheduler's ``prediction_type`` says.

        Args:
            trajectories: Noisy normalised trajectories.
            timesteps: Diffusion timesteps, one a sample, or a single one for the whole batch.
        """

    @abstractmethod
    def check_horizon(self, horizon: int) -> None:
        """Refuses a horizon this network cannot take.

        Raises:
            HorizonError: with the nearest horizons that work.
        """
