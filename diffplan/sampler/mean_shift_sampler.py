from typing import Any

import torch

from diffplan.conditioning import Conditions
from diffplan.errors import ConfigError
from diffplan.guide import AbstractGuide, NoGuide
from diffplan.model import TrajectoryModel
from diffplan.sampler.base import AbstractSampler, scheduler_step
from diffplan.scheduler import posterior
from diffplan.shapes import Trajectories

# Their step is a draw from the posterior of their denoised estimate, which they give as well.
_ANCESTRAL = ("DDPMScheduler", "DDPMParallelScheduler")
# Noise they add lies in no output, so the mean of their step cannot be told.
_HIDDEN_NOISE = ("Ancestral", "SDE", "LCM", "TCD")


class MeanShiftSampler(AbstractSampler):
    """Steers the mean of each reverse step by the gradient taken there: the paper's Algorithm 1.

    ``mean`` is that of the scheduler's step; ``num_steps`` times ``mean <- mean + scale * factor * dV/dmean``, judged
    at the timestep the mean belongs to, which is the next one; then the step's noise is added. With a deterministic
    scheduler (DDIM, DPM-Solver++) the mean is the step's result.

    Reference: Diffuser, Algorithm 1, lines 5 to 7.
    """

    def check_guide(self, guide: AbstractGuide | None) -> None:
        """Needs the mean of the scheduler's step."""
        if guide is None or isinstance(guide, NoGuide):
            return
        name = type(self.scheduler).__name__
        is_sde = str(self.scheduler.config.get("algorithm_type", "")).startswith("sde")
        if is_sde or any(word in name for word in _HIDDEN_NOISE):
            raise ConfigError(
                f"mean_shift_sampler needs the mean of each reverse step, and {name} gives only its noisy result; "
                "choose sampler=sample_shift_sampler, or a scheduler such as ddpm or ddim."
            )

    def _step(
        self,
        model: TrajectoryModel,
        scheduler: Any,
        timestep: torch.Tensor,
        trajectories: Trajectories,
        conditions: Conditions,
        generators: list[torch.Generator],
        guide: AbstractGuide | None,
    ) -> Trajectories:
        output = model.backbone(trajectories, timestep[None])
        step = scheduler_step(scheduler, output, timestep, trajectories, generators)
        if guide is None or not guide.acts_at(int(timestep)):
            return step.prev_sample
        reverse = posterior(scheduler, timestep)
        if reverse.following is None:
            # The last step's variance is zero, so nothing is shifted.
            return step.prev_sample
        mean = step.prev_sample
        if type(scheduler).__name__ in _ANCESTRAL:
            mean = reverse.clean_weight * step.pred_original_sample + reverse.noisy_weight * trajectories
        shifted = conditions.apply(mean)
        for _ in range(guide.num_steps):
            shifted = conditions.apply(shifted + guide.shift(shifted, reverse.following, reverse.variance))
        return step.prev_sample + (shifted - mean)
