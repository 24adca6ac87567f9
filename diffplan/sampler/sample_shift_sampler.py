import torch

from diffplan.conditioning import Conditions
from diffplan.guide import AbstractGuide
from diffplan.model import TrajectoryModel
from diffplan.sampler.base import AbstractSampler
from diffplan.scheduler import ReverseProcess
from diffplan.shapes import Trajectories


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
