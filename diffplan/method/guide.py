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


class CalibratedGuide(_CriticGuide):
    """Follows the gradient in units of the critic's own error: one setting for every task, reward and critic.

    With the posterior variance ``S_t`` of the denoising step, the critic's root-mean-square error ``e_t`` on held-out
    windows at that noise level, and the greatest pull ``p_t`` that it showed there (``LevelQuality.pull``)::

        shift = S_t * g / e_t * min(scale, p_t / rms(g)),   g = dV/dx where nothing is given, else 0

    The first choice samples the data tilted by ``exp(scale * V / e)``: of two plans whose values differ by as much as
    the critic is wrong, the better one becomes ``exp(scale)`` times as likely. The second bounds the step by what the
    critic can be trusted with: no gradient, however large, moves a plan further than the critic pulled where it was
    measured. A critic whose gradient is a thousand times too large therefore gives a plan no other push than a right
    one that is at its bound, and if its error is multiplied as well, the plans stay the same.

    Args:
        critic: The trained critic, measured on held-out episodes.
        scale: Strength without units.
        num_steps: Guide steps in each denoising step; with 0 the critic only ranks finished plans.
        t_stopgrad: Trajectories at diffusion timesteps below this one are not steered.

    Raises:
        ConfigError: there is no critic, it was not measured, or a value is out of range.

    Reference: the step is that of Diffuser, Algorithm 1, line 6, with ``V / e`` as the log-likelihood of optimality
        (section 3.2). The units and the bound are ours.
    """

    def __init__(
        self, critic: TrajectoryCritic | None, scale: float = 10.0, num_steps: int = 1, t_stopgrad: int = 0
    ) -> None:
        super().__init__(critic, num_steps, t_stopgrad)
        if not 0 <= scale < math.inf:
            raise ConfigError(f"guide.scale must be at least 0 and finite, got {scale}.")
        quality, timesteps = self._judge().quality, self._judge().scheduler.config.num_train_timesteps
        if quality is None or not quality.tells_pull:
            raise ConfigError(
                "calibrated_guide needs a critic that was measured on held-out episodes: train it with "
                "critic.held_out=0.1, or choose guide=value_guide or guide=no_guide."
            )
        self.scale = scale
        # By timestep, so that none has to be fetched from the device.
        self._errors = torch.tensor([quality.at(timestep, "rmse") for timestep in range(timesteps)]).clamp_min(1e-12)
        self._pulls = torch.tensor([quality.at(timestep, "pull") for timestep in range(timesteps)])

    def acts_at(self, timestep: int) -> bool:
        return super().acts_at(timestep) and self.scale > 0

    def shift(
        self, trajectories: Trajectories, timestep: Tensor, variance: Float[Tensor, ""], given: TrajectoryMask
    ) -> Trajectories:
        error, pull = (table.to(trajectories.device)[timestep] for table in (self._errors, self._pulls))
        # In units of the error from here on, so that squares do not overflow.
        gradient = self.gradient(trajectories, timestep).masked_fill(given, 0.0) / error
        free = (~given).expand_as(gradient).sum(dim=(1, 2), keepdim=True)
        length = (gradient.square().sum(dim=(1, 2), keepdim=True) / free.clamp_min(1)).sqrt()
        strength = (pull / error / length.clamp_min(1e-12)).clamp(max=self.scale)
        return variance.to(gradient) * strength * gradient
