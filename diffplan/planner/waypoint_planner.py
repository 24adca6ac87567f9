"""Diffuser's planner for mazes: one plan from start to goal, followed by a controller."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64

from diffplan.errors import ConfigError
from diffplan.method.critic import TrajectoryCritic
from diffplan.method.guide import NoGuide
from diffplan.method.model import TrajectoryModel
from diffplan.method.sampler.base import AbstractSampler
from diffplan.planner.base import AbstractPlanner
from diffplan.planner.candidates import PlanDrawer
from diffplan.planner.cost import CostCounter, DecisionCost


class WaypointPlanner(AbstractPlanner):
    """Plans once from start to goal, then follows the planned states with the reference controller.

    The action is ``(p* - p) + (v* - v)``, where ``(p*, v*)`` is the state planned for the next step. Planned actions
    are not used. Between two rows of a plan with a stride, the states follow the cubic through the planned positions
    and velocities. After its last row the planner holds the last position at rest.

    Args:
        model: The trained model, conditioned on start and goal.
        critic: None; reaching a goal needs no value.
        sampler: How plans are drawn.
        steps_per_second: Environment steps a second, for the cubic.
        horizon: Rows of a plan; None takes the model's. A shorter plan arrives earlier.

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
        if critic is not None:
            raise ConfigError("waypoint_planner plans towards a goal and takes no critic; choose critic=none.")
        if len(model.conditioning.rows(self.horizon)) != 2 or model.layout.observation_dim != 4:
            raise ConfigError(
                "waypoint_planner needs a model of (x, y, vx, vy) conditioned on start and goal; this one has "
                f"{model.layout.observation_dim} observation columns and {type(model.conditioning).__name__}."
            )
        self._drawer = PlanDrawer(model, sampler, NoGuide(), self.horizon)
        self._cost = CostCounter()
        self._rows: Float64[np.ndarray, "env row 4"] = np.zeros((0, 0, 4))
        self._step = 0

    def reset(
        self,
        observations: Float[np.ndarray, "env observation"],
        targets: Float[np.ndarray, "env 2"] | None,
        seeds: Sequence[int],
    ) -> None:
        """Plans all episodes in one batch; every plan ends at rest at the goal."""
        if targets is None:
            raise ConfigError("waypoint_planner needs a goal, but this task has none.")
        goals = np.concatenate([targets, np.zeros_like(targets)], axis=1)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        with self._cost.counting(len(seeds), len(seeds)):
            plans, _ = self._drawer.draw(np.stack([observations, goals], axis=1), generators).best()
        self._cost.reset()
        self._cost.planned(len(seeds), len(seeds))
        columns = self.model.layout.observations
        planned = self.model.normalizer.unnormalize(plans[:, :, columns], columns)
        self._rows = planned.cpu().numpy().astype(np.float64)
        self._step = 0

    def act(
        self, observations: Float[np.ndarray, "env observation"], active: Bool[np.ndarray, " env"]
    ) -> Float[np.ndarray, "env action"]:
        self._step += 1
        self._cost.decided(int(active.sum()))
        waypoints = state_at(self._rows, self._step, self.model.stride, self.seconds_per_row)
        return (waypoints[:, :2] - observations[:, :2]) + (waypoints[:, 2:] - observations[:, 2:])

    def plans(self) -> Float[np.ndarray, "env row observation"] | None:
        return self._rows

    def cost(self) -> DecisionCost | None:
        """The one plan of each episode, spread over its steps."""
        return self._cost.cost()

    @property
    def stride(self) -> int:
        return self.model.stride


def state_at(
    rows: Float64[np.ndarray, "env row 4"], step: int, stride: int, seconds_per_row: float
) -> Float64[np.ndarray, "env 4"]:
    """Returns the state to be in after some steps of a plan: on the cubic between two rows, at rest after the last.

    Args:
        rows: Planned states (x, y, vx, vy).
        step: Environment steps since the first row.
        stride: Environment steps between two rows.
        seconds_per_row: Time between two rows.
    """
    row, into = divmod(step, stride)
    if row >= rows.shape[1] - 1:
        return rows[:, -1] * np.array([1.0, 1.0, 0.0, 0.0])
    here, there = rows[:, row], rows[:, row + 1]
    return here if into == 0 else _cubic(here, there, into / stride, seconds_per_row)


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
