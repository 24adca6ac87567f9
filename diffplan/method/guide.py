"""Guides: what steers the denoising of plans and judges the finished ones."""

import copy
from abc import ABC, abstractmethod
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from diffplan.errors import ConfigError
from diffplan.method.critic import TrajectoryCritic
from diffplan.method.shapes import Trajectories


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
    def shift(self, trajectories: Trajectories, timestep: Tensor, variance: Float[Tensor, ""]) -> Trajectories:
        """Returns what one guide step adds to noisy normalised trajectories.

        Args:
            trajectories: Where the gradient is taken.
            timestep: Their diffusion timestep, one for all.
            variance: Posterior variance of the denoising step that is being taken.
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

    def shift(self, trajectories: Trajectories, timestep: Tensor, variance: Float[Tensor, ""]) -> Trajectories:
        return trajectories.new_zeros(trajectories.shape)

    def values(self, trajectories: Trajectories, timestep: Tensor) -> None:
        return


class ValueGuide(AbstractGuide):
    """Follows the gradient of the critic's value: ``scale * factor * dV/dx``.

    Args:
        critic: The trained critic.
        scale: Step size.
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
        super().__init__(critic)
        if critic is None:
            raise ConfigError(
                "value_guide needs a critic: train one in the same command, give its run, or choose guide=no_guide."
            )
        if num_steps < 0 or t_stopgrad < 0:
            raise ConfigError(f"guide.num_steps and t_stopgrad cannot be negative, got {num_steps} and {t_stopgrad}.")
        if scaling not in ("variance", "std", "none"):
            raise ConfigError(f"guide.scaling must be variance, std or none, got {scaling!r}.")
        self.scale = scale
        self.num_steps = num_steps
        self.t_stopgrad = t_stopgrad
        self.scaling = scaling

    def acts_at(self, timestep: int) -> bool:
        return timestep >= self.t_stopgrad and self.num_steps > 0 and self.scale != 0

    def shift(self, trajectories: Trajectories, timestep: Tensor, variance: Float[Tensor, ""]) -> Trajectories:
        factor = {"variance": variance, "std": variance.sqrt(), "none": torch.ones_like(variance)}[self.scaling]
        return self.scale * factor.to(trajectories) * self.gradient(trajectories, timestep)

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
