"""Keeps some of the plans that a planner makes while it plays episodes."""

import numpy as np
from jaxtyping import Float

from diffplan.planner.base import AbstractPlanner


class KeptPlans:
    """Keeps the plans of every so many steps; call it after each step of all environments.

    The plan of an episode that has ended stays as it is, and a plan that has not changed is kept only once.

    Args:
        planner: The planner that plays.
        interval: Steps from one plan that is kept to the next.
    """

    def __init__(self, planner: AbstractPlanner, interval: int = 10) -> None:
        self._planner, self._interval, self._step = planner, interval, 0
        self._last: Float[np.ndarray, "env row observation"] | None = None
        self._kept: list[Float[np.ndarray, "plan row observation"]] = []

    def __call__(self) -> None:
        """Considers the planner's present plans."""
        is_due = self._step % self._interval == 0
        self._step += 1
        plans = self._planner.plans() if is_due else None
        if plans is None:
            return
        is_new = np.ones(len(plans), dtype=bool) if self._last is None else (plans != self._last).any(axis=(1, 2))
        self._kept.append(plans[is_new])
        self._last = plans.copy()

    def spread(self, most: int) -> Float[np.ndarray, "plan row observation"] | None:
        """Returns at most so many of the plans, evenly spread over all; None if there is none.

        Args:
            most: Most plans, at least 1.
        """
        if not self._kept:
            return None
        plans = np.concatenate(self._kept)
        return plans[np.unique(np.linspace(0, len(plans) - 1, min(most, len(plans))).round().astype(int))]
