from typing import Any

import torch

from diffplan.conditioning import Conditions
from diffplan.model import TrajectoryModel
from diffplan.sampler.base import AbstractSampler, scheduler_step
from diffplan.shapes import Trajectories


class UnguidedSampler(AbstractSampler):
    """Draws from the model's own distribution of trajectories under the conditions; no reward enters.

    Reference: Diffuser, section 3.3: goals are reached by inpainting alone.
    """

    def _step(
        self,
        model: TrajectoryModel,
        scheduler: Any,
        timestep: torch.Tensor,
        trajectories: Trajectories,
        conditions: Conditions,
        generators: list[torch.Generator],
    ) -> Trajectories:
        # One timestep for the whole batch: its embedding is computed once.
        output = model.backbone(trajectories, timestep[None])
        return scheduler_step(scheduler, output, timestep, trajectories, generators)
