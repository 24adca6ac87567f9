import torch

from diffplan.conditioning import Conditions
from diffplan.errors import ConfigError
from diffplan.guide import AbstractGuide, NoGuide
from diffplan.model import TrajectoryModel
from diffplan.sampler.base import AbstractSampler
from diffplan.scheduler import ReverseProcess
from diffplan.shapes import Trajectories


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
