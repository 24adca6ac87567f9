"""The critic: a network that predicts the return of a noisy plan, the return it predicts, and how well it does so."""

import math
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Integer
from torch import Tensor

from diffplan.errors import CheckpointError, ConfigError, TaskMismatchError
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
class LevelQuality:
    """How well a critic predicts the returns of held-out windows at one noise level.

    Attributes:
        timestep: Diffusion timestep of the noise; None for clean windows, which are judged at timestep 0.
        rmse: Root-mean-square error, in units of reward.
        r2: Explained share of the returns' variance: 1 is exact, 0 is no better than their mean.
        bias: Mean value minus mean return, in units of reward.
        correlation: Pearson correlation of value and return; 0 where either is constant.
        pull: How strongly the critic pulls where it pulls most: the gradient's root mean square over the entries of a
            window that are not given, in units of reward per normalised entry, of which 99 % of the windows have less.
        ordering: Among pairs of windows of one state, the share whose order by value is the order by return; 0.5 is
            chance. None where there are no pairs.
        ordering_stderr: Standard error of that share; pairs that share an episode depend on each other.
        ordering_low: Lower end of its 95 % interval.
        ordering_high: Upper end of its 95 % interval.

    Raises:
        CheckpointError: a number is not finite or cannot be what it is called.
    """

    timestep: int | None
    rmse: float
    r2: float
    bias: float
    correlation: float
    pull: float | None = None
    ordering: float | None = None
    ordering_stderr: float | None = None
    ordering_low: float | None = None
    ordering_high: float | None = None

    def __post_init__(self) -> None:
        bounds = {"timestep": (0, 10**5), "rmse": (0, math.inf), "r2": (-math.inf, 1), "correlation": (-1, 1)}
        bounds["pull"] = (0, math.inf)
        for each in fields(self):
            value = getattr(self, each.name)
            shares = (0, 1) if each.name.startswith("ordering") else (-math.inf, math.inf)
            least, most = bounds.get(each.name, shares)
            if value is not None and not (math.isfinite(value) and least <= value <= most):
                raise CheckpointError(f"the critic's {each.name} on held-out episodes cannot be {value}.")

    @property
    def name(self) -> str:
        """``clean``, or ``t5`` for noise of timestep 5."""
        return "clean" if self.timestep is None else f"t{self.timestep}"


@dataclass(frozen=True)
class CriticQuality:
    """What a critic is worth on episodes that it was not trained on.

    Attributes:
        step: Optimiser steps that the critic was trained for when it was measured.
        num_episodes: Held-out episodes that these windows are of.
        num_windows: Windows that were measured.
        levels: Clean windows first, then noisy ones in the order of their timesteps.

    Raises:
        CheckpointError: the levels are not such a sequence.
    """

    step: int
    num_episodes: int
    num_windows: int
    levels: tuple[LevelQuality, ...]

    def __post_init__(self) -> None:
        clean, *timesteps = [level.timestep for level in self.levels] or [0]
        numbers = [-1 if timestep is None else timestep for timestep in timesteps]
        if clean is not None or not numbers or numbers != sorted(set(numbers)) or min(numbers) < 0:
            raise CheckpointError("the critic's quality must be given for clean windows, then for rising timesteps.")
        if self.step < 0 or self.num_episodes < 1 or self.num_windows < 1:
            raise CheckpointError("the critic's quality must be of some windows and of a step from 0 on.")

    def to_plain(self) -> dict[str, Any]:
        """Returns plain values, for a checkpoint."""
        return asdict(self) | {"levels": [asdict(level) for level in self.levels]}

    @property
    def mean_r2(self) -> float:
        """Mean of R2 over clean windows and all noise levels; where it is greatest, the mean squared error is least."""
        return sum(level.r2 for level in self.levels) / len(self.levels)

    def at(self, timestep: int, name: Literal["rmse", "r2", "pull"]) -> float:
        """Returns one of the numbers at any noise level, interpolated between those that were measured."""
        noisy = self.levels[1:]
        numbers = [float(getattr(level, name) or 0.0) for level in noisy]
        return float(np.interp(timestep, [level.timestep or 0 for level in noisy], numbers))

    @property
    def tells_pull(self) -> bool:
        """Whether the gradient was measured, too."""
        return all(level.pull is not None for level in self.levels[1:])

    @property
    def warning(self) -> str | None:
        """Says that ordering the plans of one state by this critic is no better than chance; None if it is better."""
        clean = self.levels[0]
        if clean.ordering is None or clean.ordering_low is None or clean.ordering_high is None:
            return "The held-out episodes have no two windows of one state, so how well the critic ranks is not known."
        if clean.ordering_low > 0.5:
            return None
        how = "worse than" if clean.ordering_high < 0.5 else "no better than"
        return (
            f"On {self.num_episodes} held-out episodes the critic orders plans of one state {how} chance: "
            f"{clean.ordering:.0%} of the pairs rightly, 95 % interval {clean.ordering_low:.0%} to "
            f"{clean.ordering_high:.0%}; choosing the plan of greatest value is not likely to help."
        )


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
        quality: What it is worth on held-out episodes; None where none were held out.
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
    quality: CriticQuality | None = None

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
