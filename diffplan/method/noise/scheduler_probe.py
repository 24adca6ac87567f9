"""Tries out schedulers that are not in the table, by denoising trajectories whose clean form is known."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from diffplan.errors import ConfigError
from diffplan.method.noise.reverse_process import ReverseProcess
from diffplan.method.noise.schedule import training_target
from diffplan.method.noise.supported_schedulers import check_scheduler, scheduler_facts

# 16,384 entries: the shares of clean plan and of noise are known to 1.4 %, so 10 % is seven standard errors.
_SHAPE = (1, 128, 128)
_TOLERANCE = 0.1
# Single precision, divided by a signal as small as 0.0025.
_ROUNDING = 2e-3


def open_process(scheduler: Any, num_steps: int) -> ReverseProcess:
    """Returns the reverse process of a scheduler, proven by the table or by trying it out.

    A class that is not in the table must begin with all noise, end with none, and ask only about trained timesteps, as
    every class must. It must also take each step in agreement with the forward process: given a network that knows the
    clean trajectories, a sample after a step has the signal and the noise of the next level. The units of its samples
    and what its noise does are found in the same way.

    Args:
        scheduler: Diffusers scheduler; left as it is.
        num_steps: Denoising steps.

    Raises:
        ConfigError: the scheduler cannot be used, with the reason.
    """
    check_scheduler(scheduler)
    facts = scheduler_facts(scheduler)
    if facts.is_listed:
        return ReverseProcess(scheduler, num_steps, facts)
    # Units are inherited with the facts of a listed class. Otherwise the network's are tried first.
    units = [facts.sigma_units] if facts != replace(type(facts)(), is_listed=False) else [False, True]
    errors = []
    for sigma_units in units:
        if sigma_units and not hasattr(scheduler, "sigmas"):
            continue
        process = ReverseProcess(scheduler, num_steps, replace(facts, sigma_units=sigma_units))
        try:
            noise = _probe(process, scheduler)
        except ConfigError as error:
            errors.append(error)
            continue
        process.facts = replace(process.facts, is_ancestral=noise.is_posterior, hides_noise=noise.is_hidden)
        return process
    raise errors[0]


@dataclass(frozen=True)
class _Noise:
    """What noise a scheduler adds: a draw from the posterior of the estimate it returns, or of a mean nobody knows."""

    is_posterior: bool
    is_hidden: bool


def _probe(process: ReverseProcess, scheduler: Any) -> _Noise:
    name = type(process.scheduler).__name__
    # Within the range that denoised estimates are clipped to.
    clean = 1.8 * torch.rand(_SHAPE, generator=torch.Generator().manual_seed(0)) - 0.9
    try:
        # A scheduler that draws from PyTorch's own generator must not move it for others.
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            samples, denoised = _denoise(process, scheduler, clean, seed=1)
            again, _ = _denoise(process, scheduler, clean, seed=1)
            others, _ = _denoise(process, scheduler, clean, seed=2)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"{name} cannot denoise plans: its step fails with {type(error).__name__}: {error}"
        ) from error
    if not all(torch.equal(*pair) for pair in zip(samples, again, strict=True)):
        raise ConfigError(
            f"{name} cannot denoise plans: two runs with one generator differ, so it draws noise from elsewhere or "
            "keeps a state from one plan to the next."
        )
    if all(torch.equal(*pair) for pair in zip(samples, others, strict=True)):
        return _Noise(is_posterior=False, is_hidden=False)
    is_posterior = all(
        estimate is not None and _is_posterior(process, call, samples[call], estimate, samples[call + 1])
        for call, estimate in enumerate(denoised[:-1])
    )
    return _Noise(is_posterior, not is_posterior)


def _denoise(
    process: ReverseProcess, scheduler: Any, clean: Tensor, seed: int
) -> tuple[list[Tensor], list[Tensor | None]]:
    """Denoises with a network that knows the clean trajectories, and checks the level of noise after every step.

    Returns:
        The samples, the first of them noise that is the same for all seeds, and the denoised estimates of the steps.
    """
    name, process = type(process.scheduler).__name__, process.fresh()
    sample = torch.randn(clean.shape, generator=torch.Generator().manual_seed(3))
    generators = [torch.Generator().manual_seed(seed)]
    samples: list[Tensor] = [sample]
    estimates: list[Tensor | None] = []
    for call in process.start(process.num_steps):
        level = process.levels[call]
        eps = (sample - level.signal * clean) / level.noise
        output = training_target(scheduler, clean, eps, torch.tensor([process.timesteps[call]]))
        step = process.step(output, call, sample, generators)
        sample = step.result
        samples.append(sample)
        estimates.append(step.denoised)
        if process.ends(call):
            _check_level(name, process, call, clean, sample)
    return samples, estimates


def _check_level(name: str, process: ReverseProcess, call: int, clean: Tensor, sample: Tensor) -> None:
    """Refuses a sample that is not ``signal * clean + noise * eps`` with normal ``eps`` at the level after a call."""
    level = process.levels[call + 1]
    rest = sample - level.signal * clean
    if call + 1 == len(process):
        if not torch.isfinite(sample).all() or rest.abs().max() > _ROUNDING:
            raise ConfigError(
                f"{name} cannot denoise plans: with a network that knows the clean plan, its last step misses it by "
                f"{float(rest.abs().max()):.3g}."
            )
        return
    deviation = float(rest.std()) / level.noise
    leaked = float((rest * clean).mean() / clean.square().mean())
    if not abs(deviation - 1) < _TOLERANCE or not abs(leaked) < _TOLERANCE:
        raise ConfigError(
            f"{name} cannot denoise plans: after the step from timestep {process.timesteps[call]} a sample should hold "
            f"{level.signal:.3f} of the clean plan and {level.noise:.3f} of noise, but it holds "
            f"{level.signal + leaked:.3f} and {deviation * level.noise:.3f}."
        )


def _is_posterior(process: ReverseProcess, call: int, sample: Tensor, estimate: Tensor, result: Tensor) -> bool:
    """Whether a result is a draw from the posterior of an estimate."""
    reverse = process.posterior(call)
    rest = result - reverse.clean_weight * estimate - reverse.noisy_weight * sample
    return abs(float(rest.std() / reverse.variance.sqrt()) - 1) < _TOLERANCE
