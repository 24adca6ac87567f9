"""How trajectories are drawn from a trained model."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from diffplan.errors import ConfigError
from diffplan.method.conditioning import Conditions
from diffplan.method.guide import AbstractGuide, NoGuide
from diffplan.method.model import TrajectoryModel
from diffplan.method.network.base import AbstractBackbone
from diffplan.method.noise.posterior import Posterior
from diffplan.method.noise.reverse_process import ReverseProcess, ReverseStep
from diffplan.method.noise.schedule import check_same_process
from diffplan.method.noise.scheduler_probe import open_process
from diffplan.method.noise.supported_schedulers import check_scheduler
from diffplan.method.shapes import Trajectories


@dataclass(frozen=True)
class WarmStart:
    """Clean trajectories that are noised a little and denoised again, instead of starting from pure noise.

    Attributes:
        trajectories: Normalised, for instance the previous plan moved on by the steps taken.
        num_steps: Denoising steps to take: the last ones of the sampler's.

    Reference: Diffuser, section 5.4.
    """

    trajectories: Trajectories
    num_steps: int


@dataclass(frozen=True)
class StepContext:
    """Everything a sampler needs for one call of the network.

    Attributes:
        network: The denoiser.
        guide: Steers the trajectories.
        conditions: Known entries.
        process: The scheduler at work.
        generators: Draw the step's noise.
        call: Number of the call, from 0 at pure noise.
        timestep: The trained timestep ``t`` of the call, as networks and guides take it.
    """

    network: AbstractBackbone
    guide: AbstractGuide
    conditions: Conditions
    process: ReverseProcess
    generators: list[torch.Generator]
    call: int
    timestep: Tensor

    def denoise(self, trajectories: Trajectories) -> ReverseStep:
        """Calls the network on noisy trajectories and takes the scheduler's step."""
        # One timestep for the whole batch, so its embedding is computed once.
        output = self.network(trajectories, self.timestep[None])
        return self.process.step(output, self.call, trajectories, self.generators)

    def posterior(self) -> Posterior:
        """Returns ``q(x_{t-1} | x_t, x_0)`` over the whole step, where ``t - 1`` is the timestep of the next step."""
        return self.process.posterior(self.call)


class AbstractSampler(ABC):
    """A reverse diffusion under given conditions, with any diffusers scheduler that suits the model.

    Args:
        scheduler: Diffusers scheduler to denoise with; it must describe the noise the model was trained on.
        num_inference_steps: Denoising steps; None takes as many as the model was trained with.

    Raises:
        ConfigError: for a scheduler that cannot be used, or not in so many steps, or more steps than the model has.
    """

    def __init__(self, scheduler: Any, num_inference_steps: int | None = None) -> None:
        check_scheduler(scheduler)
        trained = scheduler.config.num_train_timesteps
        if num_inference_steps is not None and not 1 <= num_inference_steps <= trained:
            raise ConfigError(
                f"sampler.num_inference_steps must lie between 1 and the {trained} diffusion steps of the model, "
                f"got {num_inference_steps}."
            )
        self.scheduler = scheduler
        self.num_inference_steps = num_inference_steps or trained
        self._process = open_process(scheduler, self.num_inference_steps)

    def timesteps(self, start: WarmStart | None = None) -> list[int]:
        """Returns the trained timestep of every call of the network, from noise or from where a warm start begins."""
        calls = self._process.calls(self.num_inference_steps if start is None else start.num_steps)
        return [self._process.timesteps[call] for call in calls]

    def check(self, model: TrajectoryModel, guide: AbstractGuide | None = None) -> None:
        """Refuses a model or a guide that this sampler cannot work with.

        ``sample`` checks by itself. A planner checks once, when it is built, and then draws with ``chain``.

        Raises:
            TaskMismatchError: the sampler's scheduler is not the one the model was trained for.
            ConfigError: the sampler cannot be guided.
        """
        check_same_process(model.scheduler, self.scheduler)
        self.check_guide(guide)

    @abstractmethod
    def check_guide(self, guide: AbstractGuide | None) -> None:
        """Refuses a guide that this sampler or its scheduler cannot follow.

        Raises:
            ConfigError: with the reason.
        """

    def sample(
        self,
        model: TrajectoryModel,
        conditions: Conditions,
        generators: Sequence[torch.Generator],
        guide: AbstractGuide | None = None,
        start: WarmStart | None = None,
        initial: Trajectories | None = None,
    ) -> Trajectories:
        """Draws one normalised trajectory for each row of ``conditions``.

        Args:
            model: The trained model.
            conditions: Known entries; they are exact in the result.
            generators: One per trajectory, or one for every so many of them in a row. A trajectory does not depend on
                what else is in the batch.
            guide: Steers the trajectories; None leaves them alone.
            start: Begins from trajectories instead of noise.
            initial: Noise to begin from or to add to the warm start; None draws it.

        Raises:
            TaskMismatchError: the sampler's scheduler is not the one the model was trained for.
            ConfigError: the sampler cannot be guided, or a warm start is longer than the sampler.
        """
        self.check(model, guide)
        *_, trajectories = self.chain(model, conditions, generators, guide, start, initial)
        return trajectories

    def chain(
        self,
        model: TrajectoryModel,
        conditions: Conditions,
        generators: Sequence[torch.Generator],
        guide: AbstractGuide | None = None,
        start: WarmStart | None = None,
        initial: Trajectories | None = None,
    ) -> Generator[Trajectories, Trajectories | None, None]:
        """Yields the trajectories as they are denoised, the noisy beginning first.

        The arguments are those of ``sample``; model and guide must have passed ``check``. If the caller sends
        trajectories back, denoising continues from those.
        """
        guide, generators = guide or NoGuide(), list(generators)
        num_steps = self.num_inference_steps if start is None else start.num_steps
        if not 1 <= num_steps <= self.num_inference_steps:
            raise ConfigError(
                f"a warm start takes between 1 and the sampler's {self.num_inference_steps} denoising steps, got "
                f"{num_steps}."
            )
        # Chains that run side by side each need a scheduler of their own.
        process = self._process.fresh()
        calls = process.start(num_steps, is_guided=guide.num_steps > 0)
        device = conditions.values.device
        if initial is None:
            initial = _noise(tuple(conditions.values.shape), generators, device)
        if start is not None:
            initial = process.noised(start.trajectories, initial, calls[0])
        trajectories = conditions.apply(initial)
        changed = yield trajectories
        for call in calls:
            if changed is not None:
                trajectories = conditions.apply(changed)
            timestep = process.timestep(call, device)
            context = StepContext(model.backbone, guide, conditions, process, generators, call, timestep)
            # Entered at every step, because a suspended generator would leave its mode to the caller.
            with torch.no_grad():
                trajectories = self._step(trajectories, context)
            trajectories = conditions.apply(trajectories)
            changed = yield trajectories

    @abstractmethod
    def _step(self, trajectories: Trajectories, context: StepContext) -> Trajectories:
        """Calls the network once and takes the scheduler's step, from ``x_t`` to ``x_{t-1}``."""


def _noise(shape: tuple[int, ...], generators: Sequence[torch.Generator], device: torch.device) -> Trajectories:
    if shape[0] % len(generators):
        raise ValueError(f"{len(generators)} generators cannot share {shape[0]} trajectories evenly")
    grouped = (len(generators), shape[0] // len(generators), *shape[1:])
    return randn_tensor(grouped, generator=list(generators), device=device).reshape(shape)
