"""The exact reverse step between two levels of noise."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Level:
    """A level of noise: a sample there is ``signal * clean + noise * eps``; the clean trajectory is (1, 0)."""

    signal: float
    noise: float


@dataclass(frozen=True)
class Posterior:
    """``q(x_previous | x_now, clean)`` between two levels of a sampler, which need not be neighbours in training.

    Attributes:
        variance: Its variance; 0 for the last step.
        clean_weight: Its mean is ``clean_weight * clean + noisy_weight * x_now``.
        noisy_weight: See there.
    """

    variance: Float[Tensor, ""]
    clean_weight: Float[Tensor, ""]
    noisy_weight: Float[Tensor, ""]


def posterior(now: Level, previous: Level) -> Posterior:
    """Returns the posterior of the step from one level to a less noisy one.

    Args:
        now: Where the step begins; its noise is above 0.
        previous: Where the step leads.

    Reference: Ho et al. 2020, equations 6 and 7, with the product of alphas between the two timesteps; for levels of
        any kind, Kingma et al. 2021, appendix A.
    """
    kept = now.signal / previous.signal
    added = now.noise**2 - kept**2 * previous.noise**2
    share = added / now.noise**2
    variance = share * previous.noise**2
    noisy_weight = kept * previous.noise**2 / now.noise**2
    return Posterior(*(torch.tensor(value) for value in (variance, previous.signal * share, noisy_weight)))
