import inspect

import torch

from diffplan.errors import ConfigError
from diffplan.method.conditioning import Conditions
from diffplan.method.guide import AbstractGuide, NoGuide, ValueGuide
from diffplan.method.model import TrajectoryModel
from diffplan.method.noise.reverse_process import ReverseProcess
from diffplan.method.sampler.base import AbstractSampler
from diffplan.method.shapes import Trajectories

# Written into diffusers' pipeline.
_FIRST_GUIDED_TIMESTEP = 2


class DiffusersPipelineSampler(AbstractSampler):
    """Steers as diffusers' ``ValueGuidedRLPipeline`` does, mistakes included; kept for comparison.

    Per timestep: ``num_steps`` times ``x <- x + scale * exp(v / 2) * dV/dx`` with the conditions re-applied, where
    ``v`` is the scheduler's ``_get_variance``; then the unguided reverse step from the shifted ``x``.

    Reference: diffusers, ``ValueGuidedRLPipeline.run_diffusion``.
    Differs: that pipeline computes the gradient below timestep 2 as well, and multiplies it by zero; it has no
        generator, no way without guide steps and none with a single candidate, all of which work here. It normalises
        all columns with one mean and one deviation, where here each column has its own.

    What is wrong in the rule itself: ``v`` is a variance, or with ``variance_type: fixed_small_log`` a standard
    deviation, but it is taken for the logarithm of a variance. The factor is then between 1 and 1.65 where the
    released code has the posterior variance, which falls from 0.99 to 0.015: five times the guidance in all, and
    seventy times near the end. ``sample_shift_sampler`` has the right factor.
    """

    def check_guide(self, guide: AbstractGuide | None) -> None:
        """Takes the gradient of a value in the one way that the pipeline has, with a scheduler that it runs with."""
        if guide is None or isinstance(guide, NoGuide):
            return
        takes = inspect.signature(getattr(self.scheduler, "_get_variance", lambda: None)).parameters.values()
        if len([parameter for parameter in takes if parameter.default is parameter.empty]) != 1:
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
        if guide is not None and guide.acts_at(process.timesteps[call]):
            factor = torch.exp(0.5 * process.scheduler._get_variance(process.timesteps[call]))
            for _ in range(guide.num_steps):
                trajectories = conditions.apply(trajectories + guide.shift(trajectories, timestep, factor))
        output = model.backbone(trajectories, timestep[None])
        return process.step(output, call, trajectories, generators).result
