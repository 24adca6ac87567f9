"""What turns a trained model into actions for many environments at once."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from diffplan.method.critic import ReturnTarget
from diffplan.planner.cost import DecisionCost


class AbstractPlanner(ABC):
    """Chooses the actions of many environments; all of them are handled in one call.

    A planner must ``reset`` and ``act``. What it says beside, the episode loop records. Planners that are chosen in
    ``conf`` are built from a trained model and, second, a critic or None.
    """

    @abstractmethod
    def reset(
        self,
        observations: Float[np.ndarray, "env observation"],
        targets: Float[np.ndarray, "env 2"] | None,
        seeds: Sequence[int],
    ) -> None:
        """Starts one episode per row.

        Args:
            observations: First observations, raw units.
            targets: Goals as (x, y) in metres; None where the task has none.
            seeds: The seed each environment was reset with. Equal seeds give equal plans in any batch.
        """

    @abstractmethod
    def act(
        self, observations: Float[np.ndarray, "env observation"], active: Bool[np.ndarray, " env"]
    ) -> Float[np.ndarray, "env action"]:
        """Chooses the next action of every environment, in raw units.

        Args:
            observations: Present observations, raw units; the last one of an episode that has ended.
            active: False where the episode has ended and the action is ignored.
        """

    def plans(self) -> Float[np.ndarray, "env row observation"] | None:
        """Returns the observations planned at the last planning, in raw units; None where nothing is planned."""
        return None

    @property
    def stride(self) -> int:
        """Environment steps from one row of ``plans()`` to the next."""
        return 1

    def values(self) -> Float[np.ndarray, " env"] | None:
        """Returns the critic's value of each environment's plan at the last planning; None without a critic."""
        return None

    @property
    def value_target(self) -> ReturnTarget | None:
        """What the values predict; None without a critic."""
        return None

    def cost(self) -> DecisionCost | None:
        """Returns what a decision has cost so far; None where nothing was counted."""
        return None
