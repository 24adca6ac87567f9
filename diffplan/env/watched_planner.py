"""A few imagined plans out of episodes whose length nobody knows beforehand."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64

from diffplan.method.critic import ReturnTarget
from diffplan.planner.base import Planner

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


class WatchedPlanner:
    """A planner, the time it takes, and what it says about its decisions beside the actions.

    Args:
        planner: Planner to watch.
        num_envs: Environments it plans for.
        limit: Most steps of an episode.
        filmed: Environments whose imagined plans are kept at a few moments.

    Attributes:
        seconds: Wall time spent in the planner, all environments together.
        cpu_seconds: Processor time of this process in the planner, over all threads.
        num_decisions: Calls of the planner; each decides for all environments.
        first_plans: What it imagined after its first action; None where it imagines nothing.
        values: The critic's value at each step that was planned, NaN at the others; None without a critic.
        moments: Imagined plans of the filmed environments.
    """

    def __init__(self, planner: Planner, num_envs: int, limit: int, filmed: Sequence[int]) -> None:
        self.seconds, self.cpu_seconds, self.num_decisions = 0.0, 0.0, 0
        self.first_plans: Float[np.ndarray, "env row observation"] | None = None
        self.values: Float64[np.ndarray, "env step"] | None = None
        self.moments = Moments(filmed)
        self._planner = planner
        self._shape = (num_envs, limit)
        self._plans: Float[np.ndarray, "env row observation"] | None = None

    @property
    def value_target(self) -> ReturnTarget | None:
        """What the critic's values predict; None without a critic."""
        return getattr(self._planner, "value_target", None)

    @property
    def decision_flops(self) -> float | None:
        """Floating point operations for one decision of one environment; None where the planner does not say."""
        cost = getattr(self._planner, "cost", None)
        counted = None if cost is None else cost()
        return None if counted is None else float(counted.flops)

    def reset(
        self,
        observations: Float64[np.ndarray, "env observation"],
        targets: Float64[np.ndarray, "env 2"] | None,
        seeds: Sequence[int],
    ) -> None:
        """Starts the episodes."""
        begin, cpu_begin = time.perf_counter(), time.process_time()
        self._planner.reset(observations, targets, seeds)
        self.seconds += time.perf_counter() - begin
        self.cpu_seconds += time.process_time() - cpu_begin

    def act(
        self, step: int, observations: Float64[np.ndarray, "env observation"], active: Bool[np.ndarray, " env"]
    ) -> Float[np.ndarray, "env action"]:
        """Asks for the actions of one step and notes what the planner says about them."""
        begin, cpu_begin = time.perf_counter(), time.process_time()
        actions = self._planner.act(observations, active.copy())
        self.seconds += time.perf_counter() - begin
        self.cpu_seconds += time.process_time() - cpu_begin
        self.num_decisions += 1
        self._note(step, active)
        return actions

    def _note(self, step: int, active: Bool[np.ndarray, " env"]) -> None:
        plans, before = self._planner.plans(), self._plans
        self._plans = None if plans is None else plans.copy()
        # A planner that follows one plan for several steps still shows that plan and its value; only the step it was
        # made at is compared with what followed.
        planned = active
        if plans is not None:
            if step == 0:
                self.first_plans = self._plans
            if before is not None and before.shape == plans.shape:
                planned = active & (before != plans).any(axis=(1, 2))
            self.moments.watch(step, plans, planned)
        said = getattr(self._planner, "values", None)
        values = None if said is None else said()
        if values is None:
            return
        if self.values is None:
            self.values = np.full(self._shape, np.nan)
        self.values[planned, step] = values[planned]
