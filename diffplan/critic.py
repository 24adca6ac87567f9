"""A trained critic as guides see it: the counterpart of the trajectory model."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from diffplan.backbone import ValueUnet
from diffplan.errors import TaskMismatchError
from diffplan.model import TrajectoryModel
from diffplan.normalizer import AbstractNormalizer
from diffplan.return_target import ReturnTarget
from diffplan.scheduler import check_same_noise
from diffplan.shapes import Timesteps, Trajectories
from diffplan.trajectory import TransitionLayout


@dataclass(frozen=True)
class TrajectoryCritic:
    """Everything a guide needs of a trained critic.

    Attributes:
        backbone: The network with the averaged (EMA) weights.
        normalizer: Raw units to network units.
        scheduler: The diffusers scheduler whose noise it was trained on.
        layout: Columns of a plan row.
        horizon: Rows of the plans it judges.
        stride: Environment steps between two rows.
        target: What its values predict.
        offset: Return at the network's output 0.
        scale: Returns per unit of the network's output.
    """

    backbone: ValueUnet
    normalizer: AbstractNormalizer
    scheduler: Any
    layout: TransitionLayout
    horizon: int
    stride: int
    target: ReturnTarget
    offset: Float[Tensor, ""]
    scale: Float[Tensor, ""]

    def values(self, trajectories: Trajectories, timesteps: Timesteps) -> Float[Tensor, " batch"]:
        """Predicts the return of noisy normalised trajectories, in units of reward."""
        return self.backbone(trajectories, timesteps) * self.scale + self.offset


def check_pair(model: TrajectoryModel, critic: TrajectoryCritic) -> None:
    """Refuses a denoiser and a critic that speak of different trajectories.

    Raises:
        TaskMismatchError: with what differs: dimensions, horizon, stride, noise schedule or normaliser statistics.
    """
    for what, ours, theirs in (
        ("action_dim", model.layout.action_dim, critic.layout.action_dim),
        ("observation_dim", model.layout.observation_dim, critic.layout.observation_dim),
        ("horizon", model.horizon, critic.horizon),
        ("stride", model.stride, critic.stride),
    ):
        if ours != theirs:
            raise TaskMismatchError(f"the denoiser has {what}={ours}, but the critic was trained with {what}={theirs}.")
    check_same_noise(model.scheduler, critic.scheduler, "the denoiser", "the critic")
    for name, state in model.normalizer.state_dict().items():
        other = critic.normalizer.state_dict()[name]
        # The same statistics computed twice agree to rounding; another data set's do not.
        if not torch.allclose(state.cpu(), other.cpu(), rtol=1e-4, atol=1e-5):
            column = int((state.cpu() - other.cpu()).abs().argmax())
            raise TaskMismatchError(
                f"the denoiser's and the critic's normalisers differ: {name} of column {column} is "
                f"{float(state[column]):.5g} for the denoiser and {float(other[column]):.5g} for the critic; train "
                "both on the same data."
            )
