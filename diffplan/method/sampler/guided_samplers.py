"""Samplers: unguided, the released code's rule, the paper's Algorithm 1, and the rule of diffusers' pipeline."""

import torch

from diffplan.errors import ConfigError
from diffplan.method.guide import AbstractGuide, NoGuide, ValueGuide
from diffplan.method.noise.supported_schedulers import scheduler_facts
from diffplan.method.sampler.base import AbstractSampler, StepContext
from diffplan.method.shapes import Trajectories


class UnguidedSampler(AbstractSampler):
    """Draws from the model's own distribution of trajectories under the conditions, without any reward.

    Each step: ``x_{t-1} ~ p(x_{t-1} | x_t)``.

    Reference: Diffuser, section 3.3: goals are reached by inpainting alone.
    """

    def check_guide(self, guide: AbstractGuide | None) -> None:
        if guide is not None and not isinstance(guide, NoGuide):
            raise ConfigError(
                f"unguided_sampler cannot follow {type(guide).__name__}; choose sampler=sample_shift_sampler or "
                "sampler=mean_shift_sampler."
            )

    def _step(self, trajectories: Trajectories, context: StepContext) -> Trajectories:
        return context.denoise(trajectories).result


class SampleShiftSampler(AbstractSampler):
    """Steers the noisy sample before each denoising step, several times, as the released code does.

    Each step, with the guide's value ``V``, its ``scale`` and the posterior variance ``S_t``::

        num_steps times:  x_t <- x_t + scale * S_t * dV/dx_t,  conditions re-applied
        x_{t-1} ~ p(x_{t-1} | x_t)

    The posterior variance is that of the scheduler's own step, so it is defined for any number of denoising steps and
    any scheduler. If a step takes several calls of the network (Heun, single-step DPM-Solver), the sample is moved
    once, before the first.

    In the limit of many steps, schedulers that draw noise (DDPM, ancestral Euler, SDE-DPM-Solver++) sample the data
    tilted by the guide. Schedulers that draw none follow the probability flow, for which the posterior variance is
    twice what the same tilt needs, so they are steered twice as far: halve the scale to compare.

    Reference: Diffuser, released code ``n_step_guided_p_sample``.
    """

    def check_guide(self, guide: AbstractGuide | None) -> None:
        """Accepts every guide: the rule needs noise levels alone, which every accepted scheduler has."""

    def _step(self, trajectories: Trajectories, context: StepContext) -> Trajectories:
        guide, process = context.guide, context.process
        if process.begins(context.call) and guide.acts_at(process.timesteps[context.call]):
            variance = context.posterior().variance
            for _ in range(guide.num_steps):
                shift = guide.shift(trajectories, context.timestep, variance, context.conditions.mask)
                trajectories = context.conditions.apply(trajectories + shift)
        return context.denoise(trajectories).result


class MeanShiftSampler(AbstractSampler):
    """Steers the mean of each reverse step by the gradient taken there: the paper's Algorithm 1.

    Each step, with the mean ``mu`` and the posterior variance ``S_t`` of the scheduler's step::

        mu <- mean of p(x_{t-1} | x_t)
        num_steps times:  mu <- mu + scale * S_t * dV/dmu,  conditions re-applied
        x_{t-1} ~ N(mu, S_t)

    ``V`` judges ``mu`` at the timestep it belongs to, which is the next one. With a deterministic scheduler (DDIM,
    DPM-Solver++) the mean is the step's result. If a step takes several calls of the network (Heun, single-step
    DPM-Solver), its mean is shifted once, after the last. Schedulers that draw no noise are steered twice as far as
    those that do, see ``SampleShiftSampler``.

    Reference: Diffuser, Algorithm 1, lines 5 to 7.
    """

    def check_guide(self, guide: AbstractGuide | None) -> None:
        if self._process.facts.hides_noise and guide is not None and not isinstance(guide, NoGuide):
            raise ConfigError(
                f"mean_shift_sampler needs the mean of each reverse step, and {type(self.scheduler).__name__} gives "
                "only its noisy result; choose sampler=sample_shift_sampler, or a scheduler such as ddpm or ddim."
            )

    def _step(self, trajectories: Trajectories, context: StepContext) -> Trajectories:
        guide, process, call = context.guide, context.process, context.call
        step = context.denoise(trajectories)
        begun_at = process.timesteps[process.first(call)]
        # The last step's variance is zero, so nothing is shifted.
        is_last = call + 1 == len(process)
        if is_last or not process.ends(call) or not guide.acts_at(begun_at):
            return step.result
        reverse, following = context.posterior(), process.timestep(call + 1, trajectories.device)
        mean = step.result
        if step.denoised is not None and process.facts.is_ancestral:
            mean = reverse.clean_weight * step.denoised + reverse.noisy_weight * trajectories
        shifted = context.conditions.apply(mean)
        for _ in range(guide.num_steps):
            shift = guide.shift(shifted, following, reverse.variance, context.conditions.mask)
            shifted = context.conditions.apply(shifted + shift)
        # The step's noise is its result minus its mean.
        return step.result + (shifted - mean)


# Fixed in diffusers' pipeline.
_FIRST_GUIDED_TIMESTEP = 2


class DiffusersPipelineSampler(AbstractSampler):
    """Steers as diffusers' ``ValueGuidedRLPipeline`` does, mistakes included; kept for comparison.

    Each step, with ``v`` from the scheduler's ``_get_variance``::

        num_steps times:  x_t <- x_t + scale * exp(v / 2) * dV/dx_t,  conditions re-applied
        x_{t-1} ~ p(x_{t-1} | x_t)

    What is wrong in the rule: ``v`` is a variance, or with ``variance_type: fixed_small_log`` a standard deviation,
    but the rule takes it for the logarithm of a variance. The factor is then between 1 and 1.65. In the released code
    it is the posterior variance, which falls from 0.99 to 0.015. So this rule guides five times as much in all, and
    seventy times as much near the end. ``sample_shift_sampler`` has the right factor.

    Reference: diffusers, ``ValueGuidedRLPipeline.run_diffusion``.
    Differs: that pipeline also computes the gradient below timestep 2, and multiplies it by zero. It has no generator,
        and it cannot work without guide steps or with a single candidate. It normalises all columns with one mean and
        one deviation, where here each column has its own.
    """

    def check_guide(self, guide: AbstractGuide | None) -> None:
        if guide is None or isinstance(guide, NoGuide):
            return
        if not scheduler_facts(self.scheduler).tells_variance:
            raise ConfigError(
                "diffusers_pipeline_sampler asks the scheduler for the variance of a timestep, which "
                f"{type(self.scheduler).__name__} does not tell; choose scheduler=ddpm, or another sampler than this."
            )
        if not isinstance(guide, ValueGuide):
            raise ConfigError(f"diffusers_pipeline_sampler follows a value_guide, not a {type(guide).__name__}.")
        if guide.scaling != "variance" or guide.t_stopgrad != _FIRST_GUIDED_TIMESTEP:
            raise ConfigError(
                "diffusers_pipeline_sampler has a factor and a last guided timestep of its own: leave "
                f"guide.scaling=variance and give guide.t_stopgrad={_FIRST_GUIDED_TIMESTEP}; got {guide.scaling} and "
                f"{guide.t_stopgrad}."
            )

    def _step(self, trajectories: Trajectories, context: StepContext) -> Trajectories:
        guide, timestep = context.guide, context.process.timesteps[context.call]
        if guide.acts_at(timestep):
            factor = torch.exp(0.5 * context.process.scheduler._get_variance(timestep))
            for _ in range(guide.num_steps):
                shift = guide.shift(trajectories, context.timestep, factor, context.conditions.mask)
                trajectories = context.conditions.apply(trajectories + shift)
        return context.denoise(trajectories).result
