"""The critic: a network that predicts the return of a noisy plan, and the return it predicts."""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Integer
from torch import Tensor

from diffplan.errors import ConfigError, TaskMismatchError
from diffplan.method.conditioning import AbstractConditioning
from diffplan.method.model import TrajectoryModel
from diffplan.method.network.value_unet import ValueUnet
from diffplan.method.noise.schedule import check_same_noise
from diffplan.method.normalizer import AbstractNormalizer
from diffplan.method.shapes import Timesteps, Trajectories
from diffplan.method.trajectory import TransitionLayout


@dataclass(frozen=True)
class ReturnTarget:
    """Says what a critic predicts: the discounted return from the first row of a plan to the end of the episode.

    Args:
        discount: Weight of a reward for each environment step it lies ahead, above 0 and below 1, or 1.
        termination_penalty: Added to the last reward of an episode that ended in a terminal state.
        time_limit: What is taken to follow a truncated episode: nothing (``truncate``, as the original, so that
            returns fall towards the limit), or its mean reward for ever (``extrapolate``).

    Raises:
        ConfigError: for values outside these.

    Reference: Diffuser, released code ``ValueDataset``; discount and penalty as used for planning there.
    """

    discount: float = 0.997
    termination_penalty: float = -100.0
    time_limit: Literal["truncate", "extrapolate"] = "truncate"

    def __post_init__(self) -> None:
        if not 0 < self.discount <= 1:
            raise ConfigError(f"critic.target.discount must lie above 0 and at most at 1, got {self.discount}.")
        if self.time_limit not in ("truncate", "extrapolate"):
            raise ConfigError(f"critic.target.time_limit must be truncate or extrapolate, got {self.time_limit!r}.")
        if self.time_limit == "extrapolate" and self.discount == 1:
            raise ConfigError("critic.target.time_limit=extrapolate needs a discount below 1, got 1.")


def returns_to_go(
    rewards: Float[np.ndarray, " row"],
    ends: Integer[np.ndarray, " episode"],
    terminated: Bool[np.ndarray, " episode"],
    target: ReturnTarget,
) -> Float64[np.ndarray, " row"]:
    """Returns the discounted sum of the rewards from each row to the end of its episode.

    The sum runs to the end of the *episode*, not of the window that begins at the row.

    Args:
        rewards: Rewards of all episodes, one episode after another.
        ends: Row behind the last row of each episode, ascending; no episode is empty.
        terminated: Whether each episode ended in a terminal state.
        target: Discount, penalty, and what follows a time limit.
    """
    returns = np.empty(len(rewards))
    start = 0
    for end, is_terminated in zip(ends.tolist(), terminated.tolist(), strict=True):
        of_episode = rewards[start:end].astype(np.float64)
        following = 0.0
        if is_terminated:
            of_episode[-1] += target.termination_penalty
        elif target.time_limit == "extrapolate":
            following = float(of_episode.mean()) / (1.0 - target.discount)
        # Plain numbers: a loop over them is several times faster than one over NumPy's.
        backwards = []
        for reward in reversed(of_episode.tolist()):
            following = reward + target.discount * following
            backwards.append(following)
        returns[start:end] = backwards[::-1]
        start = end
    return returns


@dataclass(frozen=True)
class TrajectoryCritic:
    """A network that predicts returns, and everything that says of what; training and guides take the same object.

    Attributes:
        backbone: The network. A guide gets the one with the averaged (EMA) weights.
        normalizer: Maps raw units to network units.
        scheduler: The diffusers scheduler that noises the training data.
        layout: Columns of a plan row.
        horizon: Rows of the plans it judges.
        stride: Environment steps between two rows.
        target: What its values predict.
        offset: Return at the network's output 0.
        scale: Returns per unit of the network's output.
        conditioning: Which observations of a training window are given; only training needs it.
    """

    backbone: ValueUnet
    normalizer: AbstractNormalizer
    scheduler: Any
    layout: TransitionLayout
    horizon: int
    stride: int
    target: ReturnTarget
    offset: Float[Tensor, ""] = field(default_factory=lambda: torch.zeros(()))
    scale: Float[Tensor, ""] = field(default_factory=lambda: torch.ones(()))
    conditioning: AbstractConditioning | None = None

    def values(self, trajectories: Trajectories, timesteps: Timesteps) -> Float[Tensor, " batch"]:
        """Predicts the return of noisy normalised trajectories, in units of reward."""
        return self.backbone(trajectories, timesteps) * self.scale + self.offset

    def to(self, device: torch.device | str) -> "TrajectoryCritic":
        """Moves network, normaliser, offset and scale to a device and returns the critic."""
        return replace(
            self,
            backbone=self.backbone.to(device),
            normalizer=self.normalizer.to(device),
            offset=self.offset.to(device),
            scale=self.scale.to(device),
        )


def check_pair(model: TrajectoryModel, critic: TrajectoryCritic) -> None:
    """Refuses a denoiser and a critic that were trained on different trajectories.

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
