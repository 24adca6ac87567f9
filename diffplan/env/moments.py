"""A few imagined plans out of episodes whose length nobody knows beforehand."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

_MOST_KEPT = 8


@dataclass(frozen=True)
class ImaginedMoment:
    """One decision: what the planner imagined there.

    Attributes:
        env: Index of the environment.
        step: Step of its episode at which the plan was made; row 0 of the plan is the observation before this step.
        plan: Imagined observations in raw units.
    """

    env: int
    step: int
    plan: Float[np.ndarray, "row observation"]


class Moments:
    """Keeps plans of some environments, evenly spread over each episode and never more than eight an environment.

    It begins by keeping every plan; whenever there are too many, every other one is dropped, and from then on they are
    as far apart as those that are left.

    Args:
        envs: Indices of the environments to watch.
    """

    def __init__(self, envs: Sequence[int]) -> None:
        self._kept: dict[int, list[ImaginedMoment]] = {int(env): [] for env in envs}
        self._interval = dict.fromkeys(self._kept, 1)

    def watch(
        self, step: int, plans: Float[np.ndarray, "env row observation"], planned: Bool[np.ndarray, " env"]
    ) -> None:
        """Looks at the plans of one step.

        Args:
            step: Step of the episodes.
            plans: What is imagined, of all environments.
            planned: Where the plan was made at this step.
        """
        for env, kept in self._kept.items():
            if not planned[env] or (kept and step - kept[-1].step < self._interval[env]):
                continue
            kept.append(ImaginedMoment(env, step, plans[env].copy()))
            if len(kept) > _MOST_KEPT:
                del kept[1::2]
                self._interval[env] = kept[1].step - kept[0].step

    def spread(self, count: int) -> tuple[ImaginedMoment, ...]:
        """Returns up to ``count`` moments of each environment, the first decision among them.

        Args:
            count: Most moments an environment, at least 1.
        """
        chosen = []
        for kept in self._kept.values():
            places = np.unique(np.linspace(0, len(kept) - 1, min(count, len(kept))).round().astype(int))
            chosen += [kept[place] for place in places]
        return tuple(chosen)
