"""What a network is asked to predict under a scheduler, and which schedulers can serve."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffplan.errors import ConfigError, TaskMismatchError

PREDICTION_TYPES = ("sample", "epsilon", "v_prediction")


def training_target(
    scheduler: Any,
    clean: Float[Tensor, "batch horizon transition"],
    noise: Float[Tensor, "batch horizon transition"],
    timesteps: Int[Tensor, " batch"],
) -> Float[Tensor, "batch horizon transition"]:
    """Returns what the network should output for ``add_noise(clean, noise, timesteps)``.

    Reference: Ho et al. 2020, equation 14 (epsilon); Salimans and Ho 2022, section 2.4 (v); Diffuser's released code
        predicts the clean trajectory (sample).
    """
    kind = scheduler.config.prediction_type
    if kind == "sample":
        return clean
    if kind == "epsilon":
        return noise
    alpha_cumprod = scheduler.alphas_cumprod.to(clean.device)[timesteps][:, None, None]
    return alpha_cumprod.sqrt() * noise - (1 - alpha_cumprod).sqrt() * clean


def check_scheduler(scheduler: Any) -> None:
    """Refuses schedulers whose noising is not ``sqrt(abar) x + sqrt(1 - abar) eps`` on integer timesteps.

    The conditioned rows of a plan are written in clean units into the network's input, which only schedulers of this
    kind (DDPM, DDIM, DPM-Solver++, UniPC, DEIS) allow without rescaling.

    Raises:
        ConfigError: with what is missing.
    """
    name = type(scheduler).__name__
    kind = scheduler.config.get("prediction_type")
    if kind not in PREDICTION_TYPES:
        raise ConfigError(
            f"scheduler {name} has prediction_type={kind!r}, but it must be one of {', '.join(PREDICTION_TYPES)}."
        )
    if not hasattr(scheduler, "alphas_cumprod"):
        raise ConfigError(
            f"scheduler {name} has no alphas_cumprod, so conditioned rows cannot be written into its samples."
        )
    if float(scheduler.init_noise_sigma) != 1.0:
        raise ConfigError(
            f"scheduler {name} scales its samples by sigma (init_noise_sigma={float(scheduler.init_noise_sigma):.4g}), "
            "but planning writes clean rows into them; choose a variance-preserving one such as ddpm or ddim."
        )


def check_same_process(training: Any, sampling: Any) -> None:
    """Refuses to sample with a scheduler that reads the network's output or its noise levels otherwise.

    Raises:
        TaskMismatchError: with what differs.
    """
    trained, asked = training.config.prediction_type, sampling.config.prediction_type
    if trained != asked:
        raise TaskMismatchError(f"the network was trained with prediction_type={trained}, but the sampler has {asked}.")
    check_same_noise(training, sampling, "the network", "the sampling scheduler")


def check_same_noise(first: Any, second: Any, first_name: str, second_name: str) -> None:
    """Refuses two schedulers that noise differently.

    Args:
        first: Scheduler.
        second: The other one.
        first_name: What the first belongs to, for the message.
        second_name: What the other one belongs to.

    Raises:
        TaskMismatchError: with what differs.
    """
    ours, theirs = first.config.num_train_timesteps, second.config.num_train_timesteps
    if ours != theirs:
        raise TaskMismatchError(
            f"{first_name} was trained with {ours} diffusion steps, but {second_name} has num_train_timesteps={theirs}."
        )
    if not torch.allclose(first.alphas_cumprod.cpu(), second.alphas_cumprod.cpu(), atol=1e-5):
        raise TaskMismatchError(f"{first_name} was trained with another noise schedule (betas) than {second_name} has.")
