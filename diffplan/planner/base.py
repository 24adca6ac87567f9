"""What turns a trained model into actions for many environments at once."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float64

from diffplan.method.critic import ReturnTarget
from diffplan.planner.cost import DecisionCost


@runtime_checkable
class Planner(Protocol):
    """What ``rollout`` asks of a planner; all environments are handled in one call.

    A planner may say more, and what it says is recorded:

    - ``values()``: the critic's value of each environment's chosen plan at the last planning, in units of return.
    - ``value_target``: the ``ReturnTarget`` that such a value predicts.
    - ``cost()``: its cost, with ``flops`` for one decision of one environment.
    """

    def reset(
        self,
        observations: Float64[np.ndarray, "env observation"],
        targets: Float64[np.ndarray, "env 2"] | None,
        seeds: Sequence[int],
    ) -> None:
        """Starts one episode per row.

        Args:
            observations: First observations in raw units.
            targets: Where each environment wants to be, in metres; None where the task has no target.
            seeds: The seed each environment was reset with.
        """

    def act(
        self, observations: Float64[np.ndarray, "env observation"], active: Bool[np.ndarray, " env"]
    ) -> Float[np.ndarray, "env action"]:
        """Chooses the next action of every environment.

        Args:
            observations: Present observations in raw units; the last one of an episode that has ended.
            active: False where the episode has ended and the action is ignored.
        """

    def plans(self) -> Float[np.ndarray, "env row observation"] | None:
        """Returns what the planner imagines at present, in raw units; None where it imagines nothing."""


class AbstractPlanner(ABC):
    """A controller of a batch of environments; all environments are planned in one batch on the model's device.

    Concrete planners are built from a trained model and, second, a critic or None.
    """

    @abstractmethod
    def reset(
        self,
        observations: Float[np.ndarray, "env observation"],
        targets: Float[np.ndarray, "env 2"] | None,
        seeds: Sequence[int],
    ) -> None:
        """Begins episodes.

        Args:
            observations: First observations, raw units.
            targets: Goals as (x, y) in metres; None where the task has none.
            seeds: One per environment; equal seeds give equal plans, whatever else is in the batch.
        """

    @abstractmethod
    def act(
        self, observations: Float[np.ndarray, "env observation"], active: Bool[np.ndarray, " env"]
    ) -> Float[np.ndarray, "env action"]:
        """Returns one raw action an environment; those of finished environments are ignored."""

    @abstractmethod
    def plans(self) -> Float[np.ndarray, "env row observation"] | None:
        """The observations imagined at the last planning, raw units."""

    @property
    def stride(self) -> int:
        """Environment steps from one row of ``plans()`` to the next."""
        return 1

    def values(self) -> Float[np.ndarray, " env"] | None:
        """The critic's value of each environment's plan at the last planning; None without a critic."""
        return None

    @property
    def value_target(self) -> ReturnTarget | None:
        """What the values predict; None without a critic."""
        return None

    def cost(self) -> DecisionCost | None:
        """What a decision has cost so far; None where nothing was counted."""
        return None
