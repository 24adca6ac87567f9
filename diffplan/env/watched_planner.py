"""What a planner takes and says during episodes: time, values, and a few of its plans."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64

from diffplan.method.critic import ReturnTarget
from diffplan.planner.base import AbstractPlanner

_MOST_KEPT = 8


@dataclass(frozen=True)
class ImaginedMoment:
    """The plan of one decision.

    Attributes:
        env: Index of the environment.
        step: Step of its episode at which the plan was made; row 0 of the plan is the observation before this step.
        plan: Planned observations in raw units.
    """

    env: int
    step: int
    plan: Float[np.ndarray, "row observation"]


class Moments:
    """Keeps at most eight plans of each watched environment, evenly spread over its episode.

    The length of an episode is not known beforehand. So every plan is kept at first. When there are too many, every
    other one is dropped, and later plans are kept at the interval of those that are left.

    Args:
        envs: Indices of the environments to watch.
    """

    def __init__(self, envs: Sequence[int]) -> None:
        self._kept: dict[int, list[ImaginedMoment]] = {int(env): [] for env in envs}
        self._interval = dict.fromkeys(self._kept, 1)

    def watch(
        self, step: int, plans: Float[np.ndarray, "env row observation"], planned: Bool[np.ndarray, " env"]
    ) -> None:
        """Considers the plans of one step.

        Args:
            step: Step of the episodes.
            plans: Plans of all environments.
            planned: Whether each plan was made at this step.
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


class PlannerRecord:
    """What a planner takes and says while it plays episodes.

    Args:
        planner: The planner.
        num_envs: Environments it plans for.
        limit: Most steps of an episode.
        filmed: Environments of which plans are kept at a few steps.

    Attributes:
        seconds: Wall time spent in the planner, all environments together.
        cpu_seconds: Processor time of this process in the planner, over all threads.
        num_decisions: Steps noted; at each the planner decides for all environments.
        first_plans: The plans of the first step; None where nothing is planned.
        values: The critic's value at each step that was planned, NaN at the others; None without a critic.
        moments: Plans of the filmed environments.
    """

    def __init__(self, planner: AbstractPlanner, num_envs: int, limit: int, filmed: Sequence[int]) -> None:
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
        return self._planner.value_target

    @property
    def decision_flops(self) -> float | None:
        """Floating-point operations for one decision of one environment; None where they are not counted."""
        cost = self._planner.cost()
        return None if cost is None else float(cost.flops)

    @contextmanager
    def timing(self) -> Iterator[None]:
        """Adds the time of a block to the time spent in the planner."""
        begin, cpu_begin = time.perf_counter(), time.process_time()
        yield
        self.seconds += time.perf_counter() - begin
        self.cpu_seconds += time.process_time() - cpu_begin

    def note(self, step: int, active: Bool[np.ndarray, " env"]) -> None:
        """Records plans and values after the planner has acted.

        Args:
            step: Step of the episodes.
            active: False where the episode has ended.
        """
        self.num_decisions += 1
        plans, before = self._planner.plans(), self._plans
        self._plans = None if plans is None else plans.copy()
        # A planner that follows one plan for several steps keeps showing that plan and its value. Only the step at
        # which it was made is compared with what followed.
        planned = active
        if plans is not None:
            if step == 0:
                self.first_plans = self._plans
            if before is not None and before.shape == plans.shape:
                planned = active & (before != plans).any(axis=(1, 2))
            self.moments.watch(step, plans, planned)
        values = self._planner.values()
        if values is None:
            return
        if self.values is None:
            self.values = np.full(self._shape, np.nan)
        self.values[planned, step] = values[planned]
