from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float64


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
