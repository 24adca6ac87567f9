"""The training objectives of denoiser and critic: noise a batch, predict, compare.

In a bare training loop::

    objective = DenoisingObjective(model, DenoisingLoss(horizon, action_dim, observation_dim))
    terms = objective(model.backbone, batch, batch_generator(seed, batch.number))
    terms.loss.backward()
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from diffplan.errors import ConfigError
from diffplan.method.conditioning import AbstractConditioning
from diffplan.method.critic import TrajectoryCritic
from diffplan.method.model import TrajectoryModel
from diffplan.method.noise.schedule import NoiseSchedule, training_target
from diffplan.method.noise.supported_schedulers import check_scheduler
from diffplan.method.shapes import Trajectories, TrajectoryMask
from diffplan.method.trajectory import TrajectoryBatch


@dataclass(frozen=True)
class DenoisingLossTerms:
    """The loss of one batch and what is logged beside it.

    Attributes:
        loss: The weighted mean over all entries, conditioned ones counting as zero.
        first_action_loss: Unweighted mean over the first action's entries; None where actions are not planned.
    """

    loss: Float[Tensor, ""]
    first_action_loss: Float[Tensor, ""] | None


class DenoisingLoss(nn.Module):
    """Weighted regression of the network's output on its target.

    The weight of plan row ``h`` and column ``d`` is ``gamma_h * w_d``, with ``gamma_h = discount ** h`` scaled to mean
    one. ``w_d`` is one, or the given factor of an observation column. The first action's entries have the weight
    ``action_weight``. Entries that are given to the network have weight zero, because there is nothing to learn.

    Args:
        horizon: Plan rows.
        action_dim: Action columns; 0 where actions are not planned.
        observation_dim: Observation columns.
        kind: Squared ("l2") or absolute ("l1") error.
        action_weight: Weight of the first action's entries.
        discount: Factor per plan row.
        observation_weights: Factor of single observation columns, by index.
        mask_padding: Leaves rows past the end of an episode out of the loss. The original counts them.

    Raises:
        ConfigError: for an observation column that does not exist.

    Reference: Diffuser, released code ``WeightedLoss``.
    Differs: where noise is predicted, the original overwrites the *predicted noise* with states. A mask is right for
        every prediction type, and equals the original for ``sample``. ``first_action_loss`` has weight one.
    """

    weights: Tensor

    def __init__(
        self,
        horizon: int,
        action_dim: int,
        observation_dim: int,
        kind: Literal["l2", "l1"] = "l2",
        action_weight: float = 1.0,
        discount: float = 1.0,
        observation_weights: Mapping[int, float] | None = None,
        mask_padding: bool = False,
    ) -> None:
        super().__init__()
        if kind not in ("l2", "l1"):
            raise ConfigError(f"loss.kind must be 'l2' or 'l1', got {kind!r}.")
        columns = torch.ones(action_dim + observation_dim)
        for index, weight in (observation_weights or {}).items():
            if not 0 <= index < observation_dim:
                raise ConfigError(
                    f"loss.observation_weights names observation column {index}, but there are {observation_dim}."
                )
            columns[action_dim + index] = weight
        rows = discount ** torch.arange(horizon, dtype=torch.float32)
        weights = torch.outer(rows / rows.mean(), columns)
        weights[0, :action_dim] = action_weight
        self.register_buffer("weights", weights, persistent=False)
        self.action_dim = action_dim
        self.kind = kind
        self.mask_padding = mask_padding

    def forward(
        self,
        prediction: Trajectories,
        target: Trajectories,
        conditioned: TrajectoryMask,
        valid: Bool[Tensor, "batch horizon"],
    ) -> DenoisingLossTerms:
        """Returns the mean over batch, rows and columns.

        Args:
            prediction: The network's output.
            target: What it should be.
            conditioned: True at entries that were given.
            valid: False at padded rows.
        """
        difference = prediction - target
        errors = difference.square() if self.kind == "l2" else difference.abs()
        weights = self.weights.masked_fill(conditioned, 0.0)
        if self.mask_padding:
            weights = weights * valid[:, :, None]
        first_action_loss = errors[:, 0, : self.action_dim].mean().detach() if self.action_dim else None
        return DenoisingLossTerms((errors * weights).mean(), first_action_loss)


@dataclass(frozen=True)
class ValueLossTerms:
    """The loss of one batch of a critic and what is logged beside it.

    Attributes:
        loss: Mean error over the batch.
        correlation: Pearson correlation of prediction and target; 0 where either is constant.
        prediction: The network's output.
    """

    loss: Float[Tensor, ""]
    correlation: Float[Tensor, ""]
    prediction: Float[Tensor, " batch"]


class ValueLoss(nn.Module):
    """Plain regression of the critic's output on the return.

    Args:
        kind: Squared ("l2") or absolute ("l1") error.

    Raises:
        ConfigError: for another kind.

    Reference: Diffuser, released code ``ValueL2`` and ``ValueL1``.
    """

    def __init__(self, kind: Literal["l2", "l1"] = "l2") -> None:
        super().__init__()
        if kind not in ("l2", "l1"):
            raise ConfigError(f"critic.loss.kind must be 'l2' or 'l1', got {kind!r}.")
        self.kind = kind

    def forward(self, prediction: Float[Tensor, " batch"], target: Float[Tensor, " batch"]) -> ValueLossTerms:
        """Returns the mean over the batch.

        Args:
            prediction: The critic's output.
            target: What it should be, in the same units.
        """
        difference = prediction - target
        loss = (difference.square() if self.kind == "l2" else difference.abs()).mean()
        return ValueLossTerms(loss, _correlation(prediction.detach(), target), prediction.detach())


def _correlation(first: Float[Tensor, " batch"], second: Float[Tensor, " batch"]) -> Float[Tensor, ""]:
    first, second = first - first.mean(), second - second.mean()
    scale = first.norm() * second.norm()
    return torch.where(scale > 0, (first @ second) / scale.clamp_min(torch.finfo(scale.dtype).tiny), 0.0)


def batch_generator(seed: int, number: int, rank: int = 0, device: torch.device | str = "cpu") -> torch.Generator:
    """Returns the generator of one training batch's timesteps and noise.

    Every batch has a stream of its own, so a resumed training draws what the uninterrupted one drew.

    Args:
        seed: Of the training.
        number: How many batches came before.
        rank: Number of the process among those that train together.
        device: Device of the batch.
    """
    return torch.Generator(device).manual_seed((seed * 0x9E3779B97F4A7C15 + number * 0xBF58476D1CE4E5B9 + rank) % 2**63)


class _Objective(nn.Module):
    """Noises clean windows, each at a timestep of its own, and keeps the observations that are given."""

    mask: Tensor

    def __init__(self, model: TrajectoryModel | TrajectoryCritic, conditioning: AbstractConditioning) -> None:
        super().__init__()
        check_scheduler(model.scheduler)
        self.scheduler = model.scheduler
        self._schedule = NoiseSchedule(model.scheduler)
        self.register_buffer("mask", conditioning.mask(model.horizon, model.layout), persistent=False)

    def _noised(
        self, clean: Trajectories, generator: torch.Generator
    ) -> tuple[Trajectories, Trajectories, Int[Tensor, " batch"]]:
        """Draws timesteps, then noise; returns the network's input, the noise and the timesteps."""
        num_timesteps, device = self.scheduler.config.num_train_timesteps, clean.device
        timesteps = torch.randint(num_timesteps, (len(clean),), generator=generator, device=device)
        noise = torch.randn(clean.shape, generator=generator, device=device, dtype=clean.dtype)
        noisy = torch.where(self.mask, clean, self._schedule.add_noise(clean, noise, timesteps))
        return noisy, noise, timesteps


class DenoisingObjective(_Objective):
    """Trains a network to denoise windows: draws timesteps and noise, predicts, and compares with the target.

    Args:
        model: Says what is noised and how; its network is not used.
        loss: Compares prediction and target.

    Raises:
        ConfigError: the scheduler cannot be used.

    Reference: Diffuser, section 3; Ho et al. 2020, Algorithm 1.
    """

    def __init__(self, model: TrajectoryModel, loss: DenoisingLoss) -> None:
        super().__init__(model, model.conditioning)
        self.loss = loss

    def forward(self, network: nn.Module, batch: TrajectoryBatch, generator: torch.Generator) -> DenoisingLossTerms:
        """Computes the loss of one batch.

        Args:
            network: The network in training; it takes noisy trajectories and timesteps.
            batch: Clean windows.
            generator: Draws the timesteps, then the noise, on the batch's device.
        """
        noisy, noise, timesteps = self._noised(batch.trajectories, generator)
        prediction = network(noisy, timesteps)
        target = training_target(self.scheduler, batch.trajectories, noise, timesteps)
        return self.loss(prediction, target, self.mask, batch.valid)


class ValueObjective(_Objective):
    """Trains a network to predict the return that follows the first row of a noisy window.

    Args:
        critic: Says what is noised and how; its network is not used.
        loss: Compares prediction and return.

    Raises:
        ConfigError: the scheduler cannot be used, or the critic has no conditioning.

    Reference: Diffuser, appendix C; released code ``ValueDiffusion``.
    """

    def __init__(self, critic: TrajectoryCritic, loss: ValueLoss) -> None:
        if critic.conditioning is None:
            raise ConfigError("a critic is trained with a conditioning, but this one has none.")
        super().__init__(critic, critic.conditioning)
        self.loss = loss

    def forward(
        self,
        network: nn.Module,
        batch: TrajectoryBatch,
        generator: torch.Generator,
        offset: Float[Tensor, ""] | float = 0.0,
        scale: Float[Tensor, ""] | float = 1.0,
    ) -> ValueLossTerms:
        """Computes the loss of one batch.

        Args:
            network: The network in training; it takes noisy trajectories and timesteps.
            batch: Clean windows with their returns.
            generator: Draws the timesteps, then the noise, on the batch's device.
            offset: Return at the network's output 0.
            scale: Returns per unit of the network's output.

        Raises:
            RuntimeError: the batch has no returns.
        """
        if batch.returns is None:
            raise RuntimeError("a critic is trained on batches with returns")
        noisy, _, timesteps = self._noised(batch.trajectories, generator)
        return self.loss(network(noisy, timesteps), (batch.returns - offset) / scale)
