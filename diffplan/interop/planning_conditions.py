"""What a pipeline is told of the present, as conditions of its plans."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from diffplan.errors import ConfigError
from diffplan.method.conditioning import Conditions
from diffplan.method.model import TrajectoryModel

Observations = Float[np.ndarray, "*env observation"] | Float[Tensor, "*env observation"]


def planning_conditions(
    model: TrajectoryModel,
    observations: Observations,
    goals: Observations | None,
    horizon: int,
    num_candidates: int,
) -> Conditions:
    """Returns the conditions of all candidates of all environments.

    Args:
        model: Which plans.
        observations: Present observations, raw units; a single environment's may come without the first axis.
        goals: Last observations of the plans, raw units, for models that plan from a start to a goal.
        horizon: Rows of a plan.
        num_candidates: Plans drawn for each environment.

    Raises:
        ConfigError: goals where there are none, none where they are needed, or shapes that do not fit.
    """
    num_given = len(model.conditioning.rows(horizon))
    if (goals is not None) != (num_given == 2):
        wants = "needs goals" if num_given == 2 else "takes no goals"
        raise ConfigError(f"this model is conditioned on {type(model.conditioning).__name__} and {wants}.")
    rows = [torch.as_tensor(part) for part in (observations, goals) if part is not None]
    columns = model.layout.observation_dim
    if any(row.shape != rows[0].shape or row.ndim > 2 or row.shape[-1] != columns for row in rows):
        raise ConfigError(
            f"observations and goals must have shape (environments, {columns}), got "
            f"{' and '.join(str(tuple(row.shape)) for row in rows)}."
        )
    given = torch.stack([torch.atleast_2d(row) for row in rows], dim=1)
    given = given.to(model.normalizer.offset.device, torch.float32)
    given = model.normalizer.normalize(given, model.layout.observations)
    return model.conditioning.from_observations(given.repeat_interleave(num_candidates, dim=0), horizon, model.layout)
