"""The exact reverse step of a variance-preserving diffusion, from nothing but ``alphas_cumprod``."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Posterior:
    """``q(x_previous | x_now, clean)`` between two timesteps of a sampler, which need not be neighbours in training.

    Attributes:
        variance: Its variance; 0 for the last step.
        clean_weight: Its mean is ``clean_weight * clean + noisy_weight * x_now``.
        noisy_weight: See there.
        following: The timestep that the step leads to; None after the last.

    Reference: Ho et al. 2020, equations 6 and 7, with the product of alphas between the two timesteps.
    """

    variance: Float[Tensor, ""]
    clean_weight: Float[Tensor, ""]
    noisy_weight: Float[Tensor, ""]
    following: Tensor | None


def posterior(scheduler: Any, timestep: Tensor) -> Posterior:
    """Returns the posterior of the step that a scheduler in use takes from ``timestep``.

    Args:
        scheduler: Diffusers scheduler after ``set_timesteps``.
        timestep: One of its ``timesteps``.
    """
    timesteps = [int(value) for value in scheduler.timesteps]
    place = timesteps.index(int(timestep))
    cumulative = scheduler.alphas_cumprod.double()
    now = cumulative[timesteps[place]]
    one = torch.ones((), dtype=torch.float64, device=now.device)
    following = scheduler.timesteps[place + 1] if place + 1 < len(timesteps) else None
    previous = one if following is None else cumulative[timesteps[place + 1]]
    alpha = now / previous
    variance = (1 - previous) / (1 - now) * (1 - alpha)
    clean_weight = previous.sqrt() * (1 - alpha) / (1 - now)
    noisy_weight = alpha.sqrt() * (1 - previous) / (1 - now)
    return Posterior(variance.float(), clean_weight.float(), noisy_weight.float(), following)
