"""The forward process of any diffusers scheduler, and what a network predicts of it."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffplan.errors import TaskMismatchError
from diffplan.method.noise.posterior import Level
from diffplan.method.noise.supported_schedulers import scheduler_facts
from diffplan.method.shapes import Timesteps, Trajectories


class NoiseSchedule:
    """How much of a trajectory and how much noise the network sees at each trained timestep.

    The network's input at timestep ``t`` is ``signal[t] * clean + noise[t] * eps``, in whichever units a scheduler
    keeps its own samples: ``signal^2 + noise^2 = 1`` for diffusion, ``signal + noise = 1`` for flow matching.

    Args:
        scheduler: Diffusers scheduler, new or in use.

    Attributes:
        is_flow: Whether the schedule is a flow's.
        signal: Weight of the clean trajectory, by timestep, least noise first; double precision.
        noise: Weight of the noise.

    Reference: Ho et al. 2020, equation 4; Lipman et al. 2023, example II.
    """

    def __init__(self, scheduler: Any) -> None:
        self.is_flow = scheduler_facts(scheduler).is_flow
        self.signal: Float[Tensor, " timestep"]
        self.noise: Float[Tensor, " timestep"]
        if self.is_flow:
            # A scheduler in use no longer knows the levels it was made with. `from_config` would copy it without the
            # settings that were given by position.
            settings = {key: value for key, value in scheduler.config.items() if not key.startswith("_")}
            fresh = type(scheduler)(**settings)
            self.noise = fresh.sigmas.flip(0).double()
            self.signal = 1 - self.noise
            self._single = torch.stack([self.signal, self.noise]).float()
        else:
            kept = scheduler.alphas_cumprod.cpu()
            self.signal, self.noise = kept.double().sqrt(), (1 - kept.double()).sqrt()
            # As diffusers computes them: training noise is the same to the last bit.
            self._single = torch.stack([kept**0.5, (1 - kept) ** 0.5])

    def add_noise(
        self,
        clean: Trajectories,
        noise: Trajectories,
        timesteps: Timesteps,
    ) -> Trajectories:
        """Returns what the network sees of clean trajectories, each at its own timestep or all at one."""
        # Moved once, since a copy in every call would wait for the device.
        self._single = self._single.to(clean.device)
        signal, standard_deviation = self._single[:, timesteps, None, None]
        return signal * clean + standard_deviation * noise


def prediction_type(scheduler: Any) -> str:
    """Returns what the network predicts: ``sample``, ``epsilon``, ``v_prediction``, or ``flow`` (noise minus clean)."""
    return scheduler.config.get("prediction_type", "flow")


def training_target(
    scheduler: Any,
    clean: Float[Tensor, "batch horizon transition"],
    noise: Float[Tensor, "batch horizon transition"],
    timesteps: Int[Tensor, " batch"],
) -> Float[Tensor, "batch horizon transition"]:
    """Returns what the network should output for ``NoiseSchedule.add_noise(clean, noise, timesteps)``.

    Reference: Ho et al. 2020, equation 14 (epsilon); Salimans and Ho 2022, section 2.4 (v); Lipman et al. 2023,
        equation 23 (flow; their time runs the other way); Diffuser's released code predicts the clean trajectory
        (sample).
    """
    kind = prediction_type(scheduler)
    if kind == "sample":
        return clean
    if kind == "epsilon":
        return noise
    if kind == "flow":
        return noise - clean
    alpha_cumprod = scheduler.alphas_cumprod.to(clean.device)[timesteps][:, None, None]
    return alpha_cumprod.sqrt() * noise - (1 - alpha_cumprod).sqrt() * clean


def denoised_estimate(kind: str, output: Trajectories, noisy: Trajectories, level: Level) -> Trajectories:
    """Returns the clean trajectories that a network's output means.

    Args:
        kind: What the network predicts, see ``prediction_type``.
        output: Its output.
        noisy: Its input.
        level: The input's.
    """
    if kind == "sample":
        return output
    if kind == "epsilon":
        return (noisy - level.noise * output) / level.signal
    if kind == "flow":
        return noisy - level.noise * output
    return level.signal * noisy - level.noise * output


def check_same_process(training: Any, sampling: Any) -> None:
    """Refuses to sample with a scheduler that reads the network's output or its noise levels differently.

    Raises:
        TaskMismatchError: with what differs.
    """
    is_flow = NoiseSchedule(training).is_flow
    if is_flow != NoiseSchedule(sampling).is_flow:
        took, needs = ("a flow", "a diffusion") if is_flow else ("a diffusion", "a flow")
        raise TaskMismatchError(
            f"the network was trained as {took}, but {type(sampling).__name__} samples {needs}; choose "
            f"{'scheduler=flow_match_euler' if is_flow else 'a scheduler such as ddpm or ddim'}."
        )
    trained, asked = prediction_type(training), prediction_type(sampling)
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
    one, other = NoiseSchedule(first), NoiseSchedule(second)
    if one.is_flow != other.is_flow or not torch.allclose(one.signal**2, other.signal**2, atol=1e-5):
        raise TaskMismatchError(f"{first_name} was trained with another noise schedule (betas) than {second_name} has.")
