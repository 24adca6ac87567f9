"""How trajectories are drawn from a trained model."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from diffusers.utils.torch_utils import randn_tensor

from diffplan.conditioning import Conditions
from diffplan.errors import ConfigError
from diffplan.model import TrajectoryModel
from diffplan.scheduler import check_same_process, check_scheduler
from diffplan.shapes import Trajectories


class AbstractSampler(ABC):
    """A reverse diffusion under given conditions with any diffusers scheduler that suits the model.

    Args:
        scheduler: Diffusers scheduler to denoise with; it must describe the noise the model was trained on.
        num_inference_steps: Denoising steps; None takes as many as the model was trained with.

    Raises:
        ConfigError: for a scheduler that cannot serve or more steps than the model has.
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

    @torch.inference_mode()
    def sample(
        self,
        model: TrajectoryModel,
        conditions: Conditions,
        generators: Sequence[torch.Generator],
        initial: Trajectories | None = None,
    ) -> Trajectories:
        """Draws one normalised trajectory a row of ``conditions``.

        Args:
            model: The trained model.
            conditions: Known entries; they are exact in the result.
            generators: One per trajectory, so that a trajectory does not depend on what else is in the batch.
            initial: Noise to start from; None draws it.

        Raises:
            TaskMismatchError: the sampler's scheduler is not the one the model was trained for.
        """
        check_same_process(model.scheduler, self.scheduler)
        # A scheduler keeps its place in the loop; a copy leaves the shared one untouched.
        scheduler = copy.deepcopy(self.scheduler)
        scheduler.set_timesteps(self.num_inference_steps, device=conditions.values.device)
        shape = tuple(conditions.values.shape)
        if initial is None:
            initial = randn_tensor(shape, generator=list(generators), device=conditions.values.device)
        trajectories = conditions.apply(initial)
        for timestep in scheduler.timesteps:
            trajectories = self._step(model, scheduler, timestep, trajectories, conditions, list(generators))
            trajectories = conditions.apply(trajectories)
        return trajectories

    @abstractmethod
    def _step(
        self,
        model: TrajectoryModel,
        scheduler: Any,
        timestep: torch.Tensor,
        trajectories: Trajectories,
        conditions: Conditions,
        generators: list[torch.Generator],
    ) -> Trajectories:
        """Takes one denoising step."""


def scheduler_step(
    scheduler: Any,
    output: Trajectories,
    timestep: torch.Tensor,
    trajectories: Trajectories,
    generators: list[torch.Generator],
) -> Trajectories:
    """Calls ``scheduler.step``; deterministic schedulers take no generator."""
    if "generator" in scheduler.step.__code__.co_varnames:
        return scheduler.step(output, timestep, trajectories, generator=generators).prev_sample
    return scheduler.step(output, timestep, trajectories).prev_sample
