"""A diffusers scheduler at work: which timesteps it asks about, and one reverse step."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from diffplan.errors import ConfigError
from diffplan.method.noise.posterior import Level, Posterior, posterior
from diffplan.method.noise.schedule import NoiseSchedule, denoised_estimate, prediction_type
from diffplan.method.noise.supported_schedulers import SchedulerFacts, check_scheduler, scheduler_facts
from diffplan.method.shapes import Trajectories

_CLEAN = Level(1.0, 0.0)


@dataclass(frozen=True)
class ReverseStep:
    """What a scheduler made of one output of the network, in the network's units.

    Attributes:
        result: The next sample.
        denoised: The clean trajectories the step went towards, clipped where the scheduler clips; None where the
            scheduler does not return them.
    """

    result: Trajectories
    denoised: Trajectories | None


class ReverseProcess:
    """A diffusers scheduler, addressed by the number of the network call and in the network's units.

    Samplers see noisy trajectories as the network sees them, ``signal * clean + noise * eps``. So given rows are
    written clean, gradients need no factor, and the noise at the beginning has variance one. A scheduler whose samples
    are ``clean + sigma * eps`` (Euler, Heun) is given the sample over its signal, and its result is converted back.

    Some schedulers take several network calls for one step: Heun two, single-step DPM-Solver two for most. A call in
    the middle of a step begins from a sample that the scheduler remembers, so a sample may be moved only where a step
    ``begins`` or ``ends``.

    Args:
        scheduler: Diffusers scheduler. It is copied and may be shared.
        num_steps: Denoising steps from noise to clean.
        facts: What is known of the scheduler's class; None looks it up.

    Attributes:
        scheduler: The copy.
        timesteps: Trained timestep of each call.
        levels: Level of noise before each call, and the clean level at the end.

    Raises:
        ConfigError: the scheduler cannot be used, or not in so many steps: it would begin with less than all noise, end
            with some, or ask the network about noise it was not trained on.
    """

    def __init__(self, scheduler: Any, num_steps: int, facts: SchedulerFacts | None = None) -> None:
        check_scheduler(scheduler)
        self.facts = facts or scheduler_facts(scheduler)
        self.scheduler = copy.deepcopy(scheduler)
        self.num_steps = num_steps
        self._name = type(scheduler).__name__
        self._kind = prediction_type(scheduler)
        self._spoken = self.facts.said_as.get(self._kind, self._kind)
        self._schedule = NoiseSchedule(scheduler)
        if self._kind != self._spoken:
            self.scheduler.register_to_config(prediction_type=self._spoken)
        self._set_timesteps()
        asked = self.scheduler.timesteps.double()
        if self.facts.is_flow:
            # Flows are told the level; its number in training is the network's timestep.
            asked = (self._schedule.noise[None] - self.scheduler.sigmas[:-1, None]).abs().argmin(dim=1).double()
        self.timesteps: list[int] = [int(timestep) for timestep in asked.round()]
        self._check(asked)
        self.levels = [self._level(timestep) for timestep in self.timesteps] + [_CLEAN]
        self._scales = [1.0] * len(self.levels)
        if self.facts.sigma_units:
            self._scales = [float(sigma**2 + 1) ** 0.5 for sigma in self.scheduler.sigmas]
        if self.facts.counts_timesteps:
            self._count_chosen_timesteps()
        self._beginnings = self._first_calls(0)
        self._tensors: Tensor | None = None

    def __len__(self) -> int:
        """Calls of the network."""
        return len(self.timesteps)

    def fresh(self) -> "ReverseProcess":
        """Returns the process ready to ``start``, with a scheduler that has taken no step.

        A scheduler remembers its last steps in attributes that it replaces, or in lists. The copy therefore shares
        every tensor and costs a few microseconds.
        """
        process, process.scheduler = copy.copy(self), copy.copy(self.scheduler)
        for name, value in vars(self.scheduler).items():
            if isinstance(value, list):
                setattr(process.scheduler, name, value.copy())
        return process

    def start(self, num_steps: int, is_guided: bool = False) -> range:
        """Prepares the scheduler for the last ``num_steps`` steps and returns the numbers of their calls.

        Args:
            num_steps: Between 1 and all.
            is_guided: Whether samples will be moved where steps begin or end.
        """
        if is_guided and hasattr(self.scheduler, "disable_corrector"):
            # UniPC corrects a sample by going there again from the one before, without what a guide added.
            self.scheduler.disable_corrector = list(range(len(self)))
        calls = self.calls(num_steps)
        self._beginnings = self._first_calls(calls.start)
        if hasattr(self.scheduler, "set_begin_index"):
            self.scheduler.set_begin_index(calls.start)
        return calls

    def calls(self, num_steps: int) -> range:
        """Returns the numbers of the calls of the last ``num_steps`` steps, between 1 and all."""
        # Where a timestep is asked about twice, its step begins the second time.
        entries = [i for i, t in enumerate(self.timesteps) if i + 1 == len(self) or self.timesteps[i + 1] != t]
        return range(entries[-num_steps], len(self))

    def noised(self, clean: Trajectories, noise: Trajectories, call: int) -> Trajectories:
        """Returns clean trajectories at the level of a call."""
        return self._schedule.add_noise(clean, noise, torch.tensor([self.timesteps[call]], device=clean.device))

    def timestep(self, call: int, device: torch.device) -> Tensor:
        """Returns the trained timestep of a call as a tensor, as networks take it."""
        if self._tensors is None or self._tensors.device != device:
            self._tensors = torch.tensor(self.timesteps, device=device)
        return self._tensors[call]

    def begins(self, call: int) -> bool:
        """Whether a step begins with this call."""
        return call in self._beginnings

    def ends(self, call: int) -> bool:
        """Whether a step ends with this call."""
        return call + 1 == len(self) or call + 1 in self._beginnings

    def first(self, call: int) -> int:
        """Returns the call that begins the step of which a call is part."""
        return max(first for first in self._beginnings if first <= call)

    def posterior(self, call: int) -> Posterior:
        """Returns the exact reverse step over the whole step of which a call is part."""
        end = min((first for first in self._beginnings if first > call), default=len(self))
        return posterior(self.levels[self.first(call)], self.levels[end])

    def denoised(self, output: Trajectories, call: int, sample: Trajectories) -> Trajectories:
        """Returns the clean trajectories that the network's output means, not clipped."""
        return denoised_estimate(self._kind, output, sample, self.levels[call])

    def step(
        self, output: Trajectories, call: int, sample: Trajectories, generators: list[torch.Generator]
    ) -> ReverseStep:
        """Takes the scheduler's step.

        Args:
            output: The network's, for ``sample`` at this call.
            call: Number of the call; calls come one after another.
            sample: Noisy trajectories.
            generators: One per trajectory, or one for every so many of them in a row.
        """
        if call + 1 == len(self) and self.facts.stops_short:
            clean = self._clipped(self.denoised(output, call, sample))
            return ReverseStep(clean, clean)
        level = self.levels[call]
        if self._kind != self._spoken:
            output = (level.signal * sample - self.denoised(output, call, sample)) / level.noise
        own = sample * self._scales[call]
        result, denoised = _call(self.scheduler, output, self.scheduler.timesteps[call], own, generators)
        return ReverseStep(result / self._scales[call + 1], denoised)

    def _first_calls(self, first: int) -> set[int]:
        """Returns the calls that begin a step, from the first call in use."""
        calls = range(first, len(self))
        if self.facts.calls == "pairs":
            return {call for call in calls if (call - first) % 2 == 0}
        if self.facts.calls == "orders":
            return {first} | {call for call in calls if self.scheduler.order_list[call] == 1}
        return set(calls)

    def _level(self, timestep: int) -> Level:
        return Level(float(self._schedule.signal[timestep]), float(self._schedule.noise[timestep]))

    def _clipped(self, clean: Trajectories) -> Trajectories:
        config = self.scheduler.config
        return clean.clamp(-config.clip_sample_range, config.clip_sample_range) if config.get("clip_sample") else clean

    def _set_timesteps(self) -> None:
        """Sets the timesteps; all arithmetic with them stays on the CPU."""
        trained = self.scheduler.config.num_train_timesteps
        # Rounded as the schedulers with `timestep_spacing: trailing` round.
        trailing = [round(trained - step * trained / self.num_steps) - 1 for step in range(self.num_steps)]
        try:
            if self.facts.is_flow:
                self.scheduler.set_timesteps(sigmas=[(timestep + 1) / trained for timestep in trailing])
            elif self.facts.calls == "orders":
                # The spacing of its own repeats timesteps when there are many steps.
                self.scheduler.set_timesteps(timesteps=trailing)
            else:
                self.scheduler.set_timesteps(self.num_steps)
        except (ValueError, AssertionError) as error:
            raise ConfigError(f"{self._name} cannot take {self.num_steps} steps: {error}") from error
        self.scheduler.is_scale_input_called = True

    def _count_chosen_timesteps(self) -> None:
        """Shows the scheduler the chosen timesteps alone, one apart, so that it counts the right number for a step."""
        backwards = self.timesteps[::-1]
        self.scheduler.alphas_cumprod = self.scheduler.alphas_cumprod[backwards]
        self.scheduler.register_to_config(num_train_timesteps=len(self))
        self.scheduler.num_inference_steps = len(self)
        self.scheduler.timesteps = torch.arange(len(self) - 1, -1, -1)

    def _check(self, asked: Tensor) -> None:
        """Refuses timesteps that training has not seen, or that do not lead from all noise to none."""
        trained = self.scheduler.config.num_train_timesteps
        noisiest = self.timesteps[0]
        if self.timesteps[-1] < 0:
            raise ConfigError(
                f"{self._name} rounds {self.num_steps} steps to one too many; take {self.num_steps - 1} or "
                f"{self.num_steps + 1}."
            )
        if not torch.equal(asked, asked.round()) or not _descends(self.timesteps, self.facts.calls == "pairs"):
            raise ConfigError(
                f"{self._name} in {self.num_steps} steps would denoise at timesteps that the network was not trained "
                "on, or at one twice; choose scheduler.timestep_spacing=trailing and no special sigmas."
            )
        if noisiest != trained - 1:
            raise ConfigError(
                f"{self._name} in {self.num_steps} steps would begin at timestep {noisiest}, where a plan is not all "
                f"noise yet; choose scheduler.timestep_spacing=trailing, which begins at {trained - 1}."
            )
        sigmas = getattr(self.scheduler, "sigmas", None)
        ends_clean = float(getattr(self.scheduler, "final_alpha_cumprod", 1.0)) == 1.0
        if sigmas is not None:
            ends_clean = float(sigmas[-1]) == 0.0
            ratio = self._schedule.noise / (1.0 if self.facts.is_flow else self._schedule.signal)
            if not torch.allclose(sigmas[:-1].double(), ratio[self.timesteps], rtol=1e-3):
                raise ConfigError(f"{self._name} would denoise at sigmas that are not those of its timesteps.")
        if not ends_clean and not self.facts.stops_short:
            raise ConfigError(
                f"{self._name} would leave noise in the plan; choose scheduler.final_sigmas_type=zero or "
                "scheduler.set_alpha_to_one=true, whichever it has."
            )


def _descends(timesteps: list[int], in_pairs: bool) -> bool:
    """Whether timesteps fall, each but the first asked about twice if they come in pairs."""
    distinct = list(dict.fromkeys(timesteps))
    wanted = 2 * len(distinct) - 1 if in_pairs else len(distinct)
    return distinct == sorted(distinct, reverse=True) and len(timesteps) == wanted


def _call(
    scheduler: Any, output: Trajectories, timestep: Tensor, sample: Trajectories, generators: list[torch.Generator]
) -> tuple[Trajectories, Trajectories | None]:
    """Calls ``scheduler.step``; deterministic schedulers take no generator, and some return no clean trajectories."""
    if "generator" not in scheduler.step.__code__.co_varnames:
        step = scheduler.step(output, timestep, sample)
        return step.prev_sample, step.get("pred_original_sample")
    # Schedulers work entry by entry and draw noise once per generator along the first axis.
    grouped = (len(generators), -1, *sample.shape[1:])
    step = scheduler.step(output.reshape(grouped), timestep, sample.reshape(grouped), generator=generators)
    denoised = step.get("pred_original_sample")
    return step.prev_sample.reshape(sample.shape), None if denoised is None else denoised.reshape(sample.shape)
