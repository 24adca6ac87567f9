"""The one place where candidate plans are drawn, judged and ranked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from diffplan.errors import ConfigError
from diffplan.method.critic import check_pair
from diffplan.method.guide import AbstractGuide
from diffplan.method.model import TrajectoryModel
from diffplan.method.network.fast.planning_network import FastNetworks
from diffplan.method.sampler.base import AbstractSampler, WarmStart
from diffplan.method.shapes import Trajectories

Ranking = Literal["returned_plan", "last_input"]
# Given a number of the network call and its result; returns the trajectories to go on with, or None.
OnStep = Callable[[int, Trajectories], Trajectories | None]


@dataclass(frozen=True)
class Candidates:
    """Normalised plans that were drawn for some environments.

    Attributes:
        trajectories: The plans.
        values: Value of each plan, greater is better; None where there is nothing to judge by.
    """

    trajectories: Float[Tensor, "env candidate horizon transition"]
    values: Float[Tensor, "env candidate"] | None

    def best(self) -> tuple[Float[Tensor, "env horizon transition"], Float[Tensor, " env"] | None]:
        """Returns the plan of greatest value of each environment, with its value; the first plan without values."""
        if self.values is None:
            return self.trajectories[:, 0], None
        rows = torch.arange(len(self.values), device=self.values.device)
        chosen = self.values.argmax(dim=1)
        return self.trajectories[rows, chosen], self.values[rows, chosen]

    def weighted_mean(
        self, per_value: float
    ) -> tuple[Float[Tensor, "env horizon transition"], Float[Tensor, " env"] | None]:
        """Returns the mean of each environment's plans, and of their values, weighted by ``exp(per_value * value)``."""
        if self.values is None:
            return self.trajectories.mean(dim=1), None
        weights = torch.softmax(per_value * self.values, dim=1)
        plans = torch.einsum("ec,echt->eht", weights, self.trajectories)
        return plans, (weights * self.values).sum(dim=1)

    def ranked(self) -> "Candidates":
        """Sorts the plans of each environment by value, the best first; keeps their order without values."""
        if self.values is None:
            return self
        order = self.values.argsort(dim=1, descending=True)
        rows = torch.arange(len(order), device=order.device)[:, None]
        return Candidates(self.trajectories[rows, order], self.values.gather(1, order))


@dataclass(frozen=True)
class PlanDrawer:
    """Parts that draw plans together. That they fit each other is proved here, once.

    Args:
        model: The trained model.
        sampler: How plans are drawn.
        guide: Steers and judges plans.
        horizon: Rows of a plan.
        num_candidates: Plans drawn for each environment.
        ranking: Judge candidates by the value of the ``returned_plan``, or of the ``last_input``: the sample before its
            last denoising step, as the released code does.

    Raises:
        ConfigError: a number out of range, or a guide that the sampler cannot follow.
        TaskMismatchError: model, critic and scheduler do not belong together.
        HorizonError: the networks cannot take the horizon.
    """

    model: TrajectoryModel
    sampler: AbstractSampler
    guide: AbstractGuide
    horizon: int
    num_candidates: int = 1
    ranking: Ranking = "returned_plan"

    def __post_init__(self) -> None:
        if self.num_candidates < 1:
            raise ConfigError(f"num_candidates must be at least 1, got {self.num_candidates}.")
        if self.ranking not in ("returned_plan", "last_input"):
            raise ConfigError(f"ranking must be returned_plan or last_input, got {self.ranking!r}.")
        self.model.backbone.check_horizon(self.horizon)
        self.sampler.check(self.model, self.guide)
        if self.guide.critic is not None:
            check_pair(self.model, self.guide.critic)
            self.guide.critic.backbone.check_horizon(self.horizon)

    def on_fast_networks(self, networks: FastNetworks, batch: int) -> "PlanDrawer":
        """Returns an equal drawer whose networks cost fewer multiplications.

        Args:
            networks: The cache that makes and keeps them.
            batch: Trajectories that will be denoised at a time, about.
        """
        critic, model = self.guide.critic, self.model
        guide = self.guide
        if critic is not None:
            guide = guide.with_critic(replace(critic, backbone=networks.of(critic.backbone, self.horizon, batch)))
        model = replace(model, backbone=networks.of(model.backbone, self.horizon, batch))
        return replace(self, model=model, guide=guide)

    def draw(
        self,
        observations: Float[np.ndarray, "env given observation"] | Float[Tensor, "env given observation"],
        generators: Sequence[torch.Generator],
        start: WarmStart | None = None,
        noise: Trajectories | None = None,
        on_step: OnStep | None = None,
    ) -> Candidates:
        """Draws and judges the candidates of some environments in one batch.

        Args:
            observations: The given observations of each environment, in raw units and in the order of the model's
                conditioning.
            generators: One per environment, or one for every so many of them in a row.
            start: One plan per environment to begin from instead of noise.
            noise: Noise to begin from or to add to the start, for every candidate; None draws it.
            on_step: Called after each call of the network.

        Reference: Diffuser, Algorithm 1, lines 3 to 10.
        """
        layout, normalizer = self.model.layout, self.model.normalizer
        given = torch.as_tensor(observations).to(normalizer.offset.device, torch.float32)
        given = normalizer.normalize(given, layout.observations).repeat_interleave(self.num_candidates, dim=0)
        conditions = self.model.conditioning.from_observations(given, self.horizon, layout)
        if start is not None:
            start = replace(start, trajectories=start.trajectories.repeat_interleave(self.num_candidates, dim=0))
        chain = self.sampler.chain(self.model, conditions, generators, self.guide, start, noise)
        last_input = drawn = next(chain)
        changed = None
        for step in range(len(self.sampler.timesteps(start))):
            last_input, drawn = drawn, chain.send(changed)
            if on_step is not None and (changed := on_step(step, drawn)) is not None:
                drawn = changed
        judged = drawn if self.ranking == "returned_plan" else last_input
        values = self.guide.values(judged, torch.zeros((), dtype=torch.long, device=judged.device))
        grouped = (len(observations), self.num_candidates)
        return Candidates(
            drawn.reshape(*grouped, *drawn.shape[1:]), None if values is None else values.reshape(grouped)
        )
