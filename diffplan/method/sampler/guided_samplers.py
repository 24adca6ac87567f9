"""Samplers without a guide, and with one: the released rule and the paper's Algorithm 1."""

import torch

from diffplan.errors import ConfigError
from diffplan.method.conditioning import Conditions
from diffplan.method.guide import AbstractGuide, NoGuide
from diffplan.method.model import TrajectoryModel
from diffplan.method.noise.reverse_process import ReverseProcess
from diffplan.method.sampler.base import AbstractSampler
from diffplan.method.shapes import Trajectories


class UnguidedSampler(AbstractSampler):
    """Draws from the model's own distribution of trajectories under the conditions; no reward enters.

    Reference: Diffuser, section 3.3: goals are reached by inpainting alone.
    """

    def check_guide(self, guide: AbstractGuide | None) -> None:
        """Takes none."""
        if guide is not None and not isinstance(guide, NoGuide):
            raise ConfigError(
                f"unguided_sampler cannot follow {type(guide).__name__}; choose sampler=sample_shift_sampler or "
                "sampler=mean_shift_sampler."
            )

    def _step(
        self,
        model: TrajectoryModel,
        process: ReverseProcess,
        call: int,
        trajectories: Trajectories,
        conditions: Conditions,
        generators: list[torch.Generator],
        guide: AbstractGuide | None,
    ) -> Trajectories:
        # One timestep for the whole batch: its embedding is computed once.
        output = model.backbone(trajectories, process.timestep(call, trajectories.device)[None])
        return process.step(output, call, trajectories, generators).result


class SampleShiftSampler(AbstractSampler):
    """Steers the noisy sample before each denoising step, several times, as the released code does.

    Per timestep: ``num_steps`` times ``x <- x + scale * factor * dV/dx`` with the conditions re-applied, then the
    unguided reverse step from the shifted ``x``. The posterior variance in the factor is that of the scheduler's own
    jump, so it is defined for any number of denoising steps and any scheduler. Where a step takes several calls of the
    network (Heun, single-step DPM-Solver), the sample is moved once, before the first.

    In the limit of many steps, schedulers that draw noise (DDPM, ancestral Euler, SDE-DPM-Solver++) sample the data
    tilted by the guide; those that draw none follow the flow of probability, for which the posterior variance is twice
    what the same tilt takes, so they are steered twice as far: halve the scale to compare.

    Reference: Diffuser, released code ``n_step_guided_p_sample``.
    """

    def check_guide(self, guide: AbstractGuide | None) -> None:
        """Follows every guide: all it needs are noise levels, which every scheduler it accepts has."""

    def _step(
        self,
        model: TrajectoryModel,
        process: ReverseProcess,
        call: int,
        trajectories: Trajectories,
        conditions: Conditions,
        generators: list[torch.Generator],
        guide: AbstractGuide | None,
    ) -> Trajectories:
        timestep = process.timestep(call, trajectories.device)
        if guide is not None and process.begins(call) and guide.acts_at(process.timesteps[call]):
            variance = process.posterior(call).variance
            for _ in range(guide.num_steps):
                trajectories = conditions.apply(trajectories + guide.shift(trajectories, timestep, variance))
        output = model.backbone(trajectories, timestep[None])
        return process.step(output, call, trajectories, generators).result


# Their step is a draw from the posterior of their denoised estimate, which they give as well.
_ANCESTRAL = ("DDPMScheduler", "EulerAncestralDiscreteScheduler")
# Noise they add lies in no output, so the mean of their step cannot be told.
_HIDDEN_NOISE = ("LCMScheduler",)


class MeanShiftSampler(AbstractSampler):
    """Steers the mean of each reverse step by the gradient taken there: the paper's Algorithm 1.

    ``mean`` is that of the scheduler's step; ``num_steps`` times ``mean <- mean + scale * factor * dV/dmean``, judged
    at the timestep the mean belongs to, which is the next one; then the step's noise is added. With a deterministic
    scheduler (DDIM, DPM-Solver++) the mean is the step's result. Where a step takes several calls of the network (Heun,
    single-step DPM-Solver), its mean is shifted once, after the last. Schedulers that draw no noise are steered twice
    as far as those that do, see ``SampleShiftSampler``.

    Reference: Diffuser, Algorithm 1, lines 5 to 7.
    """

    def check_guide(self, guide: AbstractGuide | None) -> None:
        """Needs the mean of the scheduler's step."""
        if guide is None or isinstance(guide, NoGuide):
            return
        name = type(self.scheduler).__name__
        is_sde = str(self.scheduler.config.get("algorithm_type", "")).startswith("sde")
        is_stochastic_flow = bool(self.scheduler.config.get("stochastic_sampling"))
        if is_sde or is_stochastic_flow or name in _HIDDEN_NOISE:
            raise ConfigError(
                f"mean_shift_sampler needs the mean of each reverse step, and {name} gives only its noisy result; "
                "choose sampler=sample_shift_sampler, or a scheduler such as ddpm or ddim."
            )

    def _step(
        self,
        model: TrajectoryModel,
        process: ReverseProcess,
        call: int,
        trajectories: Trajectories,
        conditions: Conditions,
        generators: list[torch.Generator],
        guide: AbstractGuide | None,
    ) -> Trajectories:
        device = trajectories.device
        output = model.backbone(trajectories, process.timestep(call, device)[None])
        step = process.step(output, call, trajectories, generators)
        begun_at = process.timesteps[process.first(call)]
        # The last step's variance is zero, so nothing is shifted.
        is_last = call + 1 == len(process)
        if guide is None or is_last or not process.ends(call) or not guide.acts_at(begun_at):
            return step.result
        reverse, following = process.posterior(call), process.timestep(call + 1, device)
        mean = step.result
        if step.denoised is not None and type(process.scheduler).__name__ in _ANCESTRAL:
            mean = reverse.clean_weight * step.denoised + reverse.noisy_weight * trajectories
        shifted = conditions.apply(mean)
        for _ in range(guide.num_steps):
            shifted = conditions.apply(shifted + guide.shift(shifted, following, reverse.variance))
        return step.result + (shifted - mean)
