"""What steers and judges plans."""

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
        critic: The trained critic; None where there is none.

    Attributes:
        critic: See there.
        num_steps: Guide steps a denoising step.
    """

    num_steps: int = 0

    def __init__(self, critic: TrajectoryCritic | None) -> None:
        self.critic = critic

    @abstractmethod
    def acts_at(self, timestep: int) -> bool:
        """Whether trajectories of this diffusion timestep are steered at all."""

    @abstractmethod
    def shift(self, trajectories: Trajectories, timestep: Tensor, variance: Float[Tensor, ""]) -> Trajectories:
        """Returns what is to be added to noisy normalised trajectories for one guide step.

        Args:
            trajectories: Where the gradient is taken.
            timestep: Their diffusion timestep, one for all.
            variance: Posterior variance of the denoising step that is being taken.
        """

    @abstractmethod
    def values(self, trajectories: Trajectories, timestep: Tensor) -> Float[Tensor, " batch"] | None:
        """Judges trajectories, greater is better, in units of reward; None where there is nothing to judge by.

        Args:
            trajectories: Normalised.
            timestep: Their diffusion timestep, one for all; 0 for finished plans.
        """


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


class ValueGuide(AbstractGuide):
    """Follows the gradient of the critic's value: ``scale * factor * dV/dx``.

    Args:
        critic: The trained critic.
        scale: Step size.
        num_steps: Guide steps a denoising step; 0 only ranks finished plans.
        t_stopgrad: Diffusion timesteps below this one are not steered.
        scaling: The factor: posterior ``variance`` (the released code), its root ``std`` (the code before October
            2022), or ``none``.

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
        self._critic = critic
        self.scale = scale
        self.num_steps = num_steps
        self.t_stopgrad = t_stopgrad
        self.scaling = scaling

    def acts_at(self, timestep: int) -> bool:
        """Down to ``t_stopgrad``."""
        return timestep >= self.t_stopgrad and self.num_steps > 0 and self.scale != 0

    def shift(self, trajectories: Trajectories, timestep: Tensor, variance: Float[Tensor, ""]) -> Trajectories:
        """Takes the gradient at the given trajectories."""
        factor = {"variance": variance, "std": variance.sqrt(), "none": torch.ones_like(variance)}[self.scaling]
        return self.scale * factor.to(trajectories) * self.gradient(trajectories, timestep)

    def gradient(self, trajectories: Trajectories, timestep: Tensor) -> Trajectories:
        """Returns dV/dx in units of reward per unit of a normalised entry."""
        with torch.enable_grad():
            trajectories = trajectories.detach().requires_grad_()
            total = self._critic.values(trajectories, timestep[None]).sum()
            (gradient,) = torch.autograd.grad(total, trajectories)
        return gradient

    def values(self, trajectories: Trajectories, timestep: Tensor) -> Float[Tensor, " batch"]:
        """The critic's value."""
        with torch.no_grad():
            return self._critic.values(trajectories, timestep[None])
