from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float

from diffplan.errors import ConfigError
from diffplan.method.conditioning import Conditions
from diffplan.method.critic import ReturnTarget, TrajectoryCritic, check_pair
from diffplan.method.guide import AbstractGuide
from diffplan.method.model import TrajectoryModel
from diffplan.method.network.fast.planning_network import for_planning
from diffplan.method.sampler.base import AbstractSampler, WarmStart
from diffplan.method.shapes import Trajectories
from diffplan.planner.base import AbstractPlanner
from diffplan.planner.cost import DecisionCost, FlopCounter

# With fewer trajectories in a call, the many small products of a fast network take longer than the convolutions.
_FEWEST_FOR_FAST_NETWORKS = 8


class GuidedPlanner(AbstractPlanner):
    """Draws many candidate plans for every environment, steers them by a guide, and acts on the best.

    All environments' candidates are denoised in one batch, or in chunks of ``max_batch``; an environment's plans
    depend on its own seed and observations alone. Without values to rank by there is one candidate.

    Args:
        model: The trained model, conditioned on the first state.
        critic: The trained critic, for guides that need one.
        sampler: How plans are drawn.
        guide: Builds the guide from the critic.
        num_candidates: Plans drawn for each environment.
        replan_every: Steps of a plan that are executed before the next one is drawn.
        ranking: Judge candidates by the value of the ``returned_plan``, or of the ``last_input``: the sample before its
            last denoising step, as the released code does.
        warm_start_steps: Denoising steps of every plan but the first; it then begins from the previous plan, moved on
            by the steps taken and noised. None plans from noise every time.
        horizon: Rows of a plan; None takes the model's.
        max_batch: Most trajectories denoised at once; None does not limit it.
        fast_networks: Plans with equal networks that cost fewer multiplications, see ``for_planning``.

    Raises:
        ConfigError: a number out of range, or a model that is not conditioned on the first state alone.
        TaskMismatchError: model and critic do not belong together.
        HorizonError: the networks cannot take the horizon.

    Reference: Diffuser, Algorithm 1 and section 5.4 (warm start); released code ``plan_guided.py``.
    """

    def __init__(
        self,
        model: TrajectoryModel,
        critic: TrajectoryCritic | None,
        sampler: AbstractSampler,
        guide: Callable[[TrajectoryCritic | None], AbstractGuide],
        num_candidates: int = 64,
        replan_every: int = 1,
        ranking: Literal["returned_plan", "last_input"] = "returned_plan",
        warm_start_steps: int | None = None,
        horizon: int | None = None,
        max_batch: int | None = None,
        fast_networks: bool = True,
    ) -> None:
        self.model = self._trained_model = model
        self.sampler = sampler
        self.horizon = horizon or model.horizon
        self.guide = guide(critic)
        self._make_guide = guide
        self._trained_critic = self.guide.critic
        self.fast_networks = fast_networks
        self._fast_for: int | None = None
        self._check(critic, num_candidates, replan_every, ranking, warm_start_steps, max_batch)
        self.num_candidates = num_candidates if self.guide.critic is not None else 1
        self.replan_every = replan_every
        self.ranking = ranking
        self.warm_start_steps = warm_start_steps
        self.max_batch = max_batch
        self._generators: list[torch.Generator] = []
        # The chosen plans, normalised, one an environment; None before the first.
        self._plans: Trajectories | None = None
        self._values: Float[np.ndarray, " env"] | None = None
        self._step = 0
        self._flops: dict[bool, float] = {}
        self._total_flops = 0.0
        self._num_decisions = self._num_plannings = 0

    def reset(
        self,
        observations: Float[np.ndarray, "env observation"],
        targets: Float[np.ndarray, "env 2"] | None,
        seeds: Sequence[int],
    ) -> None:
        """Forgets the plans of the episodes before."""
        if self.fast_networks:
            self._exchange_networks(len(seeds) * self.num_candidates)
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._plans, self._values, self._step = None, None, 0
        self._total_flops, self._num_decisions, self._num_plannings = 0.0, 0, 0

    def act(
        self, observations: Float[np.ndarray, "env observation"], active: Bool[np.ndarray, " env"]
    ) -> Float[np.ndarray, "env action"]:
        """Plans every ``replan_every`` steps, and takes the plan's next action."""
        row = self._step % self.replan_every
        if row == 0:
            self._plan(observations, np.flatnonzero(active))
        self._step += 1
        self._num_decisions += int(active.sum())
        layout, normalizer = self.model.layout, self.model.normalizer
        assert self._plans is not None
        actions = normalizer.unnormalize(self._plans[:, row, layout.actions], layout.actions)
        return actions.cpu().numpy().astype(np.float64)

    def plans(self) -> Float[np.ndarray, "env row observation"] | None:
        """The observations of the chosen plans."""
        if self._plans is None:
            return None
        columns = self.model.layout.observations
        return self.model.normalizer.unnormalize(self._plans[:, :, columns], columns).cpu().numpy().astype(np.float64)

    def values(self) -> Float[np.ndarray, " env"] | None:
        """The value each plan was chosen for."""
        return self._values

    @property
    def value_target(self) -> ReturnTarget | None:
        """The critic's."""
        return None if self.guide.critic is None else self.guide.critic.target

    def cost(self) -> DecisionCost | None:
        """Counted at the first cold and the first warm plan."""
        if not self._num_decisions:
            return None
        return DecisionCost(self._total_flops / self._num_decisions, self._num_plannings)

    def _exchange_networks(self, batch: int) -> None:
        """Plans with networks made for calls of so many trajectories, unless it does already."""
        batch = min(batch, self.max_batch or batch)
        if batch == self._fast_for or batch < _FEWEST_FOR_FAST_NETWORKS:
            return
        self._fast_for = batch
        trained, critic = self._trained_model, self._trained_critic
        self.model = replace(trained, backbone=for_planning(trained.backbone, self.horizon, batch))
        if critic is not None:
            self.guide = self._make_guide(replace(critic, backbone=for_planning(critic.backbone, self.horizon, batch)))

    def _plan(self, observations: Float[np.ndarray, "env observation"], envs: np.ndarray) -> None:
        """Draws and chooses plans for the given environments; the others keep theirs."""
        layout, normalizer = self.model.layout, self.model.normalizer
        device = normalizer.offset.device
        given = torch.as_tensor(observations, dtype=torch.float32).to(device)
        given = normalizer.normalize(given, layout.observations)[:, None]
        previous = self._plans if self.warm_start_steps is not None else None
        if self._plans is None:
            self._plans = torch.zeros(len(given), self.horizon, layout.transition_dim, device=device)
            self._values = None if self.guide.critic is None else np.full(len(given), np.nan)
        per_chunk = len(envs) if self.max_batch is None else max(self.max_batch // self.num_candidates, 1)
        for first in range(0, len(envs), per_chunk):
            chunk = envs[first : first + per_chunk]
            index = torch.from_numpy(chunk).to(device)
            conditions = self.model.conditioning.from_observations(
                given[index].repeat_interleave(self.num_candidates, dim=0), self.horizon, layout
            )
            start = None if previous is None else self._moved_on(previous[index])
            candidates, values = self._count(self._draw, conditions, [self._generators[e] for e in chunk], start)
            if values is None or self._values is None:
                self._plans[index] = candidates[:, 0]
                continue
            best = values.argmax(dim=1)
            rows = torch.arange(len(chunk), device=device)
            self._plans[index] = candidates[rows, best]
            self._values[chunk] = values[rows, best].cpu().numpy()
        self._num_plannings += 1
        self._total_flops += self._flops[previous is not None] * len(envs)

    def _draw(
        self, conditions: Conditions, generators: list[torch.Generator], start: WarmStart | None
    ) -> tuple[Float[torch.Tensor, "env candidate horizon transition"], Float[torch.Tensor, "env candidate"] | None]:
        """Draws the candidates of some environments and judges them."""
        drawn = conditions.values
        for trajectories in self.sampler.chain(self.model, conditions, generators, self.guide, start):
            last_input, drawn = drawn, trajectories
        grouped = (len(generators), self.num_candidates)
        judged = drawn if self.ranking == "returned_plan" else last_input
        values = self.guide.values(judged, torch.zeros((), dtype=torch.long, device=judged.device))
        return (
            drawn.reshape(*grouped, *drawn.shape[1:]),
            None if values is None else values.reshape(grouped),
        )

    def _moved_on(self, plans: Trajectories) -> WarmStart:
        """The previous plans without the rows that have been executed; their last row stands for what comes after."""
        kept = plans[:, self.replan_every :]
        tail = plans[:, -1:].expand(-1, self.replan_every, -1)
        moved = torch.cat([kept, tail], dim=1).repeat_interleave(self.num_candidates, dim=0)
        assert self.warm_start_steps is not None
        return WarmStart(moved, self.warm_start_steps)

    def _count(self, draw: Callable, conditions: Conditions, generators: list, start: WarmStart | None) -> tuple:
        """Calls ``draw``, counting its operations the first time it starts cold, and the first time warm."""
        warm = start is not None
        if warm in self._flops:
            return draw(conditions, generators, start)
        with FlopCounter() as counter:
            drawn = draw(conditions, generators, start)
        self._flops[warm] = counter.total / len(generators)
        return drawn

    def _check(
        self,
        critic: TrajectoryCritic | None,
        num_candidates: int,
        replan_every: int,
        ranking: str,
        warm_start_steps: int | None,
        max_batch: int | None,
    ) -> None:
        if num_candidates < 1:
            raise ConfigError(f"planner.num_candidates must be at least 1, got {num_candidates}.")
        if ranking not in ("returned_plan", "last_input"):
            raise ConfigError(f"planner.ranking must be returned_plan or last_input, got {ranking!r}.")
        if max_batch is not None and max_batch < num_candidates:
            raise ConfigError(
                f"planner.max_batch={max_batch} must hold the {num_candidates} candidates of an environment."
            )
        if not 1 <= replan_every <= self.horizon // self.model.stride or self.model.stride != 1:
            raise ConfigError(
                f"planner.replan_every must lie between 1 and the plan's {self.horizon} rows, which are one step "
                f"apart; got {replan_every} with a stride of {self.model.stride}."
            )
        if warm_start_steps is not None and not 1 <= warm_start_steps <= self.sampler.num_inference_steps:
            raise ConfigError(
                f"planner.warm_start_steps must lie between 1 and the sampler's {self.sampler.num_inference_steps} "
                f"denoising steps, got {warm_start_steps}."
            )
        if self.model.conditioning.rows(self.horizon) != [0] or self.model.layout.action_dim == 0:
            raise ConfigError(
                "guided_planner needs a model that plans actions and is conditioned on the first state alone; this one "
                f"has {self.model.layout.action_dim} action columns and {type(self.model.conditioning).__name__}."
            )
        self.model.backbone.check_horizon(self.horizon)
        self.sampler.check_guide(self.guide)
        if self.guide.critic is not None and critic is not None:
            check_pair(self.model, critic)
            critic.backbone.check_horizon(self.horizon)
