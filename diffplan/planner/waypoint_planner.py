from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64

from diffplan.errors import ConfigError
from diffplan.method.critic import TrajectoryCritic
from diffplan.method.model import TrajectoryModel
from diffplan.method.sampler.base import AbstractSampler
from diffplan.planner.base import AbstractPlanner
from diffplan.planner.cost import DecisionCost, FlopCounter


class WaypointPlanner(AbstractPlanner):
    """Plans once from start to goal, then follows the planned states with the reference controller.

    The action is ``(p* - p) + (v* - v)`` for the state planned for the next step; planned actions, if there are any,
    are not used. Between the rows of a plan with stride, states follow the cubic through the planned positions with
    the planned velocities. After its last row the planner holds the last position at rest.

    Args:
        model: The trained model, conditioned on start and goal.
        critic: None; reaching a goal needs no value.
        sampler: How plans are drawn.
        steps_per_second: Environment steps a second, for the cubic.
        horizon: Rows of a plan; None takes the model's. Another length arrives earlier or later.

    Raises:
        ConfigError: the model is not conditioned on two rows, or observations are not (x, y, vx, vy).
        HorizonError: the network cannot take the horizon.

    Reference: Diffuser, section 5.1 and released code ``plan_maze2d.py``.
    """

    def __init__(
        self,
        model: TrajectoryModel,
        critic: TrajectoryCritic | None,
        sampler: AbstractSampler,
        steps_per_second: float = 100.0,
        horizon: int | None = None,
    ) -> None:
        self.model = model
        self.sampler = sampler
        self.horizon = horizon or model.horizon
        self.seconds_per_row = model.stride / steps_per_second
        model.backbone.check_horizon(self.horizon)
        if critic is not None:
            raise ConfigError("waypoint_planner plans towards a goal and takes no critic; choose critic=none.")
        if len(model.conditioning.rows(self.horizon)) != 2 or model.layout.observation_dim != 4:
            raise ConfigError(
                "waypoint_planner needs a model of (x, y, vx, vy) conditioned on start and goal; this one has "
                f"{model.layout.observation_dim} observation columns and {type(model.conditioning).__name__}."
            )
        self._rows: Float64[np.ndarray, "env row 4"] = np.zeros((0, 0, 4))
        self._step = 0
        self._flops_per_plan = 0.0
        self._num_envs = self._num_decisions = 0

    def reset(
        self,
        observations: Float[np.ndarray, "env observation"],
        targets: Float[np.ndarray, "env 2"] | None,
        seeds: Sequence[int],
    ) -> None:
        """Plans all episodes in one batch, arriving at rest at the goal."""
        if targets is None:
            raise ConfigError("waypoint_planner needs a goal, but this task has none.")
        layout, normalizer = self.model.layout, self.model.normalizer
        goals = np.concatenate([targets, np.zeros_like(targets)], axis=1)
        given = torch.as_tensor(np.stack([observations, goals], axis=1), dtype=torch.float32)
        given = normalizer.normalize(given.to(normalizer.offset.device), layout.observations)
        conditions = self.model.conditioning.from_observations(given, self.horizon, layout)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        with FlopCounter() as counter:
            trajectories = self.sampler.sample(self.model, conditions, generators)
        self._flops_per_plan = counter.total / len(seeds)
        self._num_envs, self._num_decisions = len(seeds), 0
        planned = normalizer.unnormalize(trajectories[:, :, layout.observations], layout.observations)
        self._rows = planned.cpu().numpy().astype(np.float64)
        self._step = 0

    def act(
        self, observations: Float[np.ndarray, "env observation"], active: Bool[np.ndarray, " env"]
    ) -> Float[np.ndarray, "env action"]:
        """Steers towards the state planned for the next step."""
        self._step += 1
        self._num_decisions += int(active.sum())
        waypoints = self._states_at(self._step)
        return (waypoints[:, :2] - observations[:, :2]) + (waypoints[:, 2:] - observations[:, 2:])

    def plans(self) -> Float[np.ndarray, "env row observation"] | None:
        """The planned states, one row every ``stride`` steps."""
        return self._rows

    def cost(self) -> DecisionCost | None:
        """The one plan of each episode, spread over its steps."""
        if not self._num_decisions:
            return None
        return DecisionCost(self._flops_per_plan * self._num_envs / self._num_decisions, 1)

    @property
    def stride(self) -> int:
        """The model's."""
        return self.model.stride

    def _states_at(self, step: int) -> Float64[np.ndarray, "env 4"]:
        row, into = divmod(step, self.model.stride)
        if row >= self.horizon - 1:
            return self._rows[:, -1] * np.array([1.0, 1.0, 0.0, 0.0])
        here, there = self._rows[:, row], self._rows[:, row + 1]
        if into == 0:
            return here
        return _cubic(here, there, into / self.model.stride, self.seconds_per_row)


def _cubic(
    here: Float64[np.ndarray, "env 4"], there: Float64[np.ndarray, "env 4"], fraction: float, seconds: float
) -> Float64[np.ndarray, "env 4"]:
    """State at ``fraction`` of the cubic Hermite segment between two (position, velocity) states."""
    u, (p0, v0), (p1, v1) = fraction, np.split(here, 2, axis=1), np.split(there, 2, axis=1)
    position = (
        (2 * u**3 - 3 * u**2 + 1) * p0
        + (u**3 - 2 * u**2 + u) * seconds * v0
        + (3 * u**2 - 2 * u**3) * p1
        + (u**3 - u**2) * seconds * v1
    )
    velocity = (6 * u**2 - 6 * u) / seconds * (p0 - p1) + (3 * u**2 - 4 * u + 1) * v0 + (3 * u**2 - 2 * u) * v1
    return np.concatenate([position, velocity], axis=1)
