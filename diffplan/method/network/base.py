"""The interface of a denoising network."""

from abc import ABC, abstractmethod

from torch import nn

from diffplan.method.shapes import Timesteps, Trajectories


class AbstractBackbone(nn.Module, ABC):
    """Maps noisy trajectories and diffusion timesteps to a prediction of the same shape."""

    @abstractmethod
    def forward(self, trajectories: Trajectories, timesteps: Timesteps) -> Trajectories:
        """Predicts clean trajectories, noise or velocity, as the scheduler's ``prediction_type`` says.

        Args:
            trajectories: Noisy normalised trajectories.
            timesteps: Diffusion timesteps, one per trajectory, or a single one for the whole batch.
        """

    @abstractmethod
    def check_horizon(self, horizon: int) -> None:
        """Refuses a horizon this network cannot take.

        Raises:
            HorizonError: with the nearest horizons that work.
        """
