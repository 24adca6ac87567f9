"""Diffuser's planner for locomotion: many guided candidates, of which the best, or their weighted mean, is executed."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float

from diffplan.errors import ConfigError
from diffplan.method.critic import ReturnTarget, TrajectoryCritic
from diffplan.method.guide import AbstractGuide
from diffplan.method.model import TrajectoryModel
from diffplan.method.network.fast.planning_network import FastNetworks
from diffplan.method.sampler.base import AbstractSampler, WarmStart
from diffplan.method.shapes import Trajectories
from diffplan.planner.base import AbstractPlanner
from diffplan.planner.candidates import PlanDrawer, Ranking
from diffplan.planner.cost import CostCounter, DecisionCost

# With fewer trajectories in a call, the many small products of a fast network take longer than the convolutions.
_FEWEST_FOR_FAST_NETWORKS = 8


class GuidedPlanner(AbstractPlanner):
    """Draws many candidate plans for every environment, steers them by a guide, and acts on the best.

    The candidates of all environments are denoised in one batch, or in chunks of ``max_batch``. An environment's plans
    depend on its own seed and observations alone. Without values to rank by there is one candidate.

    Args:
        model: The trained model, conditioned on the first state.
        critic: The trained critic, for guides that need one.
        sampler: How plans are drawn.
        guide: Builds the guide from the critic.
        num_candidates: Plans drawn for each environment.
        tilt: None executes the plan of greatest value, as the released code does. A number executes the mean of all
            candidates, each weighted by ``exp(tilt * V / e)``, with ``e`` the critic's error on held-out episodes; 0 is
            the plain mean. The mean is free of most of the sampler's noise, and plans whose values differ by less than
            the critic's error count alike.
        replan_every: Steps of a plan that are executed before the next one is drawn.
        ranking: Judge candidates by the value of the ``returned_plan``, or of the ``last_input``: the sample before its
            last denoising step, as the released code does.
        warm_start_steps: Denoising steps of every plan but the first. Such a plan begins from the previous one, moved
            on by the steps taken and noised. None plans from noise every time.
        horizon: Rows of a plan; None takes the model's.
        max_batch: Most trajectories denoised at once; None does not limit it.
        fast_networks: Plan with equal networks that cost fewer multiplications, see ``for_planning``.

    Raises:
        ConfigError: a number out of range, or a model that is not conditioned on the first state alone.
        TaskMismatchError: model and critic do not belong together.
        HorizonError: the networks cannot take the horizon.

    Reference: Diffuser, Algorithm 1 and section 5.4 (warm start); released code ``plan_guided.py``. The weights are
        those of path-integral control (Theodorou et al. 2010).
    """

    def __init__(
        self,
        model: TrajectoryModel,
        critic: TrajectoryCritic | None,
        sampler: AbstractSampler,
        guide: Callable[[TrajectoryCritic | None], AbstractGuide],
        num_candidates: int = 64,
        tilt: float | None = None,
        replan_every: int = 1,
        ranking: Ranking = "returned_plan",
        warm_start_steps: int | None = None,
        horizon: int | None = None,
        max_batch: int | None = None,
        fast_networks: bool = True,
    ) -> None:
        self.model = model
        self.sampler = sampler
        self.horizon = horizon or model.horizon
        self.guide = guide(critic)
        self.replan_every = replan_every
        self.warm_start_steps = warm_start_steps
        self.max_batch = max_batch
        self._check(num_candidates)
        self._per_value = None if tilt is None else self._weight_per_value(tilt)
        if self.guide.critic is None:
            num_candidates = min(num_candidates, 1)
        self._trained = PlanDrawer(model, sampler, self.guide, self.horizon, num_candidates, ranking)
        self._drawer = self._trained
        self._fast_networks = FastNetworks() if fast_networks else None
        self._cost = CostCounter()
        self._generators: list[torch.Generator] = []
        # The chosen plans, normalised, one an environment; None before the first.
        self._plans: Trajectories | None = None
        self._values: Float[np.ndarray, " env"] | None = None
        self._step = 0

    def reset(
        self,
        observations: Float[np.ndarray, "env observation"],
        targets: Float[np.ndarray, "env 2"] | None,
        seeds: Sequence[int],
    ) -> None:
        batch = len(seeds) * self._trained.num_candidates
        batch = min(batch, self.max_batch or batch)
        if self._fast_networks is not None and batch >= _FEWEST_FOR_FAST_NETWORKS:
            self._drawer = self._trained.on_fast_networks(self._fast_networks, batch)
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._plans, self._values, self._step = None, None, 0
        self._cost.reset()

    def act(
        self, observations: Float[np.ndarray, "env observation"], active: Bool[np.ndarray, " env"]
    ) -> Float[np.ndarray, "env action"]:
        row = self._step % self.replan_every
        if row == 0:
            envs, previous = np.flatnonzero(active), self._plans
            is_warm = previous is not None and self.warm_start_steps is not None
            for chunk in self._chunks(envs):
                start = self._moved_on(previous, chunk) if is_warm else None
                generators = [self._generators[env] for env in chunk]
                with self._cost.counting(is_warm, len(chunk)):
                    candidates = self._drawer.draw(observations[chunk][:, None], generators, start)
                chosen = candidates.best() if self._per_value is None else candidates.weighted_mean(self._per_value)
                self._keep(len(observations), chunk, *chosen)
            self._cost.planned(is_warm, len(envs))
        self._step += 1
        self._cost.decided(int(active.sum()))
        layout, normalizer = self.model.layout, self.model.normalizer
        assert self._plans is not None
        actions = normalizer.unnormalize(self._plans[:, row, layout.actions], layout.actions)
        return actions.cpu().numpy().astype(np.float64)

    def plans(self) -> Float[np.ndarray, "env row observation"] | None:
        if self._plans is None:
            return None
        columns = self.model.layout.observations
        return self.model.normalizer.unnormalize(self._plans[:, :, columns], columns).cpu().numpy().astype(np.float64)

    def values(self) -> Float[np.ndarray, " env"] | None:
        return self._values

    @property
    def value_target(self) -> ReturnTarget | None:
        return None if self.guide.critic is None else self.guide.critic.target

    def cost(self) -> DecisionCost | None:
        """Counted at the first plan from noise and at the first warm one."""
        return self._cost.cost()

    def _chunks(self, envs: np.ndarray) -> list[np.ndarray]:
        """Splits environments into chunks whose candidates fit ``max_batch``."""
        size = len(envs) if self.max_batch is None else max(self.max_batch // self._drawer.num_candidates, 1)
        return [envs[first : first + size] for first in range(0, len(envs), size)]

    def _moved_on(self, plans: Trajectories | None, envs: np.ndarray) -> WarmStart:
        """Drops the executed rows of previous plans; copies of the last row stand for what comes after."""
        assert plans is not None
        assert self.warm_start_steps is not None
        plans = plans[torch.from_numpy(envs).to(plans.device)]
        tail = plans[:, -1:].expand(-1, self.replan_every, -1)
        return WarmStart(torch.cat([plans[:, self.replan_every :], tail], dim=1), self.warm_start_steps)

    def _keep(
        self,
        num_envs: int,
        envs: np.ndarray,
        plans: Float[torch.Tensor, "chosen horizon transition"],
        values: Float[torch.Tensor, " chosen"] | None,
    ) -> None:
        """Stores the plans chosen for some environments; the others keep theirs."""
        if self._plans is None:
            self._plans = plans.new_zeros(num_envs, *plans.shape[1:])
            self._values = None if values is None else np.full(num_envs, np.nan)
        self._plans = self._plans.index_copy(0, torch.from_numpy(envs).to(plans.device), plans)
        if values is not None and self._values is not None:
            self._values[envs] = values.cpu().numpy()

    def _weight_per_value(self, tilt: float) -> float:
        """Returns the factor of values in the exponent of a plan's weight; 0 for a guide without a critic."""
        if not 0 <= tilt < math.inf:
            raise ConfigError(f"planner.tilt must be at least 0 and finite, got {tilt}.")
        if self.guide.critic is None or tilt == 0:
            return 0.0
        if self.guide.critic.quality is None:
            raise ConfigError(
                f"planner.tilt={tilt} needs a critic that was measured on held-out episodes: train it with "
                "critic.held_out=0.1, or give planner.tilt=null."
            )
        return tilt / max(self.guide.critic.quality.levels[0].rmse, 1e-12)

    def _check(self, num_candidates: int) -> None:
        if self.max_batch is not None and self.max_batch < num_candidates:
            raise ConfigError(
                f"planner.max_batch={self.max_batch} must hold the {num_candidates} candidates of an environment."
            )
        if not 1 <= self.replan_every <= self.horizon // self.model.stride or self.model.stride != 1:
            raise ConfigError(
                f"planner.replan_every must lie between 1 and the plan's {self.horizon} rows, which are one step "
                f"apart; got {self.replan_every} with a stride of {self.model.stride}."
            )
        steps = self.sampler.num_inference_steps
        if self.warm_start_steps is not None and not 1 <= self.warm_start_steps <= steps:
            raise ConfigError(
                f"planner.warm_start_steps must lie between 1 and the sampler's {steps} denoising steps, got "
                f"{self.warm_start_steps}."
            )
        if self.model.conditioning.rows(self.horizon) != [0] or self.model.layout.action_dim == 0:
            raise ConfigError(
                "guided_planner needs a model that plans actions and is conditioned on the first state alone; this one "
                f"has {self.model.layout.action_dim} action columns and {type(self.model.conditioning).__name__}."
            )
