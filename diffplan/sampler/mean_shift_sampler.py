import torch

from diffplan.conditioning import Conditions
from diffplan.errors import ConfigError
from diffplan.guide import AbstractGuide, NoGuide
from diffplan.model import TrajectoryModel
from diffplan.sampler.base import AbstractSampler
from diffplan.scheduler import ReverseProcess
from diffplan.shapes import Trajectories

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
