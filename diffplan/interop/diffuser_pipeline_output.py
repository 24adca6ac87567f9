from dataclasses import dataclass

import numpy as np
import torch
from diffusers.utils import BaseOutput
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from diffplan.method.model import TrajectoryModel
from diffplan.method.shapes import Trajectories


@dataclass
class DiffuserPipelineOutput(BaseOutput):
    """Plans in raw units; each environment's candidates are sorted by value, the best first.

    Attributes:
        actions: What to do next is ``actions[:, 0, 0]``, the first action of each environment's best plan.
        observations: The states imagined.
        trajectories: The same plans in normalised units, for a warm start.
        values: Return predicted for each plan; None without a critic.
    """

    actions: Float[np.ndarray, "env candidate horizon action"] | Float[Tensor, "env candidate horizon action"]
    observations: (
        Float[np.ndarray, "env candidate horizon observation"] | Float[Tensor, "env candidate horizon observation"]
    )
    trajectories: Float[Tensor, "env candidate horizon transition"]
    values: Float[np.ndarray, "env candidate"] | Float[Tensor, "env candidate"] | None = None

    @classmethod
    def of_trajectories(
        cls,
        model: TrajectoryModel,
        trajectories: Trajectories,
        values: Float[Tensor, " batch"] | None,
        num_candidates: int,
        output_type: str,
    ) -> "DiffuserPipelineOutput":
        """Sorts candidates and gives them in raw units.

        Args:
            model: Whose trajectories they are.
            trajectories: Normalised; the candidates of an environment follow one another.
            values: One a trajectory; None leaves the order.
            num_candidates: Of each environment.
            output_type: ``np`` or ``pt``.
        """
        pattern = "(env candidate) row column -> env candidate row column"
        plans = rearrange(trajectories, pattern, candidate=num_candidates)
        if values is not None:
            values = rearrange(values, "(env candidate) -> env candidate", candidate=num_candidates)
            order = values.argsort(dim=1, descending=True)
            values = values.gather(1, order)
            plans = plans[torch.arange(len(order), device=order.device)[:, None], order]
        layout, normalizer = model.layout, model.normalizer
        actions = normalizer.unnormalize(plans[..., layout.actions], layout.actions)
        observations = normalizer.unnormalize(plans[..., layout.observations], layout.observations)
        if output_type == "pt":
            return cls(actions, observations, plans, values)
        judged = None if values is None else values.cpu().numpy()
        return cls(actions.cpu().numpy(), observations.cpu().numpy(), plans, judged)
