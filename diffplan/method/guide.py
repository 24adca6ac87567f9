"""Guides: what steers the denoising of plans and judges the finished ones."""

import copy
import math
import re
from abc import ABC, abstractmethod
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from diffplan.errors import ConfigError
from diffplan.method.critic import TrajectoryCritic
from diffplan.method.shapes import Trajectories, TrajectoryMask


class AbstractGuide(ABC):
    """An objective on noisy trajectories whose gradient steers the denoising.

    Args:
        critic: The trained critic; None for a guide that needs none.

    Attributes:
        critic: The trained critic.
        num_steps: Guide steps in each denoising step.
    """

    num_steps: int = 0

    def __init__(self, critic: TrajectoryCritic | None) -> None:
        self.critic = critic

    def with_critic(self, critic: TrajectoryCritic) -> "AbstractGuide":
        """Returns the same guide with another critic, for instance an equal one that is faster to evaluate."""
        guide = copy.copy(self)
        guide.critic = critic
        return guide

    @abstractmethod
    def acts_at(self, timestep: int) -> bool:
        """Whether trajectories at this diffusion timestep are steered."""

    @abstractmethod
    def shift(
        self, trajectories: Trajectories, timestep: Tensor, variance: Float[Tensor, ""], given: TrajectoryMask
    ) -> Trajectories:
        """Returns what one guide step adds to noisy normalised trajectories.

        Args:
            trajectories: Where the gradient is taken.
            timestep: Their diffusion timestep, one for all.
            variance: Posterior variance of the denoising step that is being taken.
            given: True at entries that are known. Whatever is added there is undone.
        """

    @abstractmethod
    def values(self, trajectories: Trajectories, timestep: Tensor) -> Float[Tensor, " batch"] | None:
        """Returns a value for each trajectory, in units of reward, greater is better; None if the guide cannot judge.

        Args:
            trajectories: Normalised.
            timestep: Their diffusion timestep, one for all; 0 for finished plans.
        """


class NoGuide(AbstractGuide):
    """Neither steers nor judges: plans are samples of the behaviour in the data."""

    def __init__(self, critic: TrajectoryCritic | None = None) -> None:
        # A critic that is given is not used.
        super().__init__(None)

    def acts_at(self, timestep: int) -> bool:
        return False

    def shift(
        self, trajectories: Trajectories, timestep: Tensor, variance: Float[Tensor, ""], given: TrajectoryMask
    ) -> Trajectories:
        return trajectories.new_zeros(trajectories.shape)

    def values(self, trajectories: Trajectories, timestep: Tensor) -> None:
        return


class _CriticGuide(AbstractGuide):
    """Steers by the gradient of the critic's value and judges by the value itself.

    Args:
        critic: The trained critic.
        num_steps: Guide steps in each denoising step; with 0 the critic only judges finished plans.
        t_stopgrad: Trajectories at diffusion timesteps below this one are not steered.

    Raises:
        ConfigError: there is no critic, or a value out of range.
    """

    def __init__(self, critic: TrajectoryCritic | None, num_steps: int, t_stopgrad: int) -> None:
        super().__init__(critic)
        if critic is None:
            name = re.sub("(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower()
            raise ConfigError(
                f"{name} needs a critic: train one in the same command, give its run, or choose guide=no_guide."
            )
        if num_steps < 0 or t_stopgrad < 0:
            raise ConfigError(f"guide.num_steps and t_stopgrad cannot be negative, got {num_steps} and {t_stopgrad}.")
        self.num_steps = num_steps
        self.t_stopgrad = t_stopgrad

    def acts_at(self, timestep: int) -> bool:
        return timestep >= self.t_stopgrad and self.num_steps > 0

    def gradient(self, trajectories: Trajectories, timestep: Tensor) -> Trajectories:
        """Returns dV/dx in units of reward per unit of a normalised entry."""
        with torch.enable_grad():
            trajectories = trajectories.detach().requires_grad_()
            total = self._judge().values(trajectories, timestep[None]).sum()
            (gradient,) = torch.autograd.grad(total, trajectories)
        return gradient

    def values(self, trajectories: Trajectories, timestep: Tensor) -> Float[Tensor, " batch"]:
        with torch.no_grad():
            return self._judge().values(trajectories, timestep[None])

    def _judge(self) -> TrajectoryCritic:
        assert self.critic is not None
        return self.critic


class ValueGuide(_CriticGuide):
    """Follows the gradient of the critic's value: ``scale * factor * dV/dx``.

    Args:
        critic: The trained critic.
        scale: Step size, in squared normalised units per unit of reward. The scale that suits one critic says nothing
            about another: see ``TrustRegionGuide`` for a step without units.
        num_steps: Guide steps in each denoising step; with 0 the critic only ranks finished plans.
        t_stopgrad: Trajectories at diffusion timesteps below this one are not steered.
        scaling: The factor: the posterior ``variance`` (the released code), its root ``std`` (the released code before
            October 2022), or ``none``.

    Raises:
        ConfigError: there is no critic, or a value out of range.

    Reference: Diffuser, Algorithm 1, line 6; released code ``n_step_guided_p_sample``.
    Differs: below ``t_stopgrad`` the gradient is not computed; the released code multiplies it by zero.
    """

    def __init__(
        self,
        critic: TrajectoryCritic | None,
        scale: float,
        num_steps: int = 2,
        t_stopgrad: int = 2,
        scaling: Literal["variance", "std", "none"] = "variance",
    ) -> None:
        super().__init__(critic, num_steps, t_stopgrad)
        if scaling not in ("variance", "std", "none"):
            raise ConfigError(f"guide.scaling must be variance, std or none, got {scaling!r}.")
        self.scale = scale
        self.scaling = scaling

    def acts_at(self, timestep: int) -> bool:
        return super().acts_at(timestep) and self.scale != 0

    def shift(
        self, trajectories: Trajectories, timestep: Tensor, variance: Float[Tensor, ""], given: TrajectoryMask
    ) -> Trajectories:
        factor = {"variance": variance, "std": variance.sqrt(), "none": torch.ones_like(variance)}[self.scaling]
        return self.scale * factor.to(trajectories) * self.gradient(trajectories, timestep)


class TrustRegionGuide(_CriticGuide):
    """Moves a plan by a fixed part of the sampler's own noise, towards greater value.

    With the posterior standard deviation ``sigma`` of the denoising step, and the root mean square over the entries of
    a plan that are not given::

        shift = radius * sigma * g / rms(g),   g = dV/dx where nothing is given, else 0

    This is the shift of greatest value, to first order, among all that change the step's distribution
    ``N(mean, sigma^2)`` by a Kullback-Leibler divergence of at most ``radius^2 / 2`` an entry. Only the direction of
    the gradient counts, so units of reward, the horizon and the size of the critic's output do not: a critic that is
    multiplied by a thousand gives the same plans.

    Args:
        critic: The trained critic.
        radius: Root mean square of the shift over the plan's entries, in standard deviations of the step's noise.
        num_steps: Guide steps in each denoising step; with 0 the critic only ranks finished plans.
        t_stopgrad: Trajectories at diffusion timesteps below this one are not steered.

    Raises:
        ConfigError: there is no critic, or a value out of range.

    Reference: the direction and factor are those of Diffuser, Algorithm 1, line 6; the bound is that of trust-region
        policy optimisation (Schulman et al. 2015) on one reverse step.
    """

    def __init__(
        self, critic: TrajectoryCritic | None, radius: float = 0.1, num_steps: int = 1, t_stopgrad: int = 0
    ) -> None:
        super().__init__(critic, num_steps, t_stopgrad)
        if not 0 <= radius < math.inf:
            raise ConfigError(f"guide.radius must be at least 0 and finite, got {radius}.")
        self.radius = radius

    def acts_at(self, timestep: int) -> bool:
        return super().acts_at(timestep) and self.radius > 0

    def shift(
        self, trajectories: Trajectories, timestep: Tensor, variance: Float[Tensor, ""], given: TrajectoryMask
    ) -> Trajectories:
        gradient = self.gradient(trajectories, timestep).masked_fill(given, 0.0)
        # Scaled first, so that squares neither overflow nor vanish.
        largest = gradient.abs().amax(dim=(1, 2), keepdim=True)
        direction = torch.where(largest > 0, gradient / largest, 0.0)
        free = (~given).expand_as(gradient).sum(dim=(1, 2), keepdim=True)
        length = (direction.square().sum(dim=(1, 2), keepdim=True) / free).sqrt()
        return self.radius * variance.sqrt().to(direction) * torch.where(largest > 0, direction / length, 0.0)
