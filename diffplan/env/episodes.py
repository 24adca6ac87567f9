from collections.abc import Sequence

import gymnasium
import numpy as np
from jaxtyping import Float

from diffplan.env.render import Film
from diffplan.errors import ActionError


class Episodes:
    """Episodes that run side by side, and what they have recorded.

    Args:
        envs: One environment an episode.
        seeds: Seed each is reset with.
        protocol: ``multi2d`` draws a random target for every episode.
        limit: Most steps of an episode.
        render: Indices of the environments to film.

    Attributes:
        present: Present observation of each environment; the last one of an episode that has ended.
        active: Which episodes still run.
        film: The pictures taken so far.
        targets, observations, actions, rewards, reached, lengths, terminated, truncated: As in ``Rollout``, up to the
            limit.
    """

    def __init__(
        self, envs: Sequence[gymnasium.Env], seeds: Sequence[int], protocol: str, limit: int, render: Sequence[int]
    ) -> None:
        self.seeds, self.limit = tuple(seeds), limit
        options = {"target": "random"} if protocol == "multi2d" else None
        # A seed alone decides start and target, whatever else is played beside it.
        resets = [env.reset(seed=seed, options=options) for env, seed in zip(envs, seeds, strict=True)]
        self.present = np.array([observation for observation, _ in resets], dtype=np.float64)
        has_target = "target" in resets[0][1]
        self.targets = np.array([info["target"] for _, info in resets], dtype=np.float64) if has_target else None
        count, width = len(envs), envs[0].action_space.shape[0]
        self.observations = np.full((count, limit + 1, self.present.shape[1]), np.nan)
        self.observations[:, 0] = self.present
        self.actions = np.full((count, limit, width), np.nan)
        self.rewards = np.zeros((count, limit))
        self.reached = np.zeros((count, limit), dtype=bool)
        self.lengths = np.zeros(count, dtype=np.int64)
        self.terminated, self.truncated = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
        self.active = np.ones(count, dtype=bool)
        self.film = Film(envs, render, limit)
        self._envs = envs

    def advance(self, step: int, actions: Float[np.ndarray, "env action"]) -> None:
        """Steps every running episode.

        Args:
            step: How many steps came before.
            actions: What the planner chose; ignored where an episode has ended.

        Raises:
            ActionError: actions of the wrong shape or not finite.
        """
        if actions.shape != self.actions[:, step].shape:
            raise ActionError(f"The planner must return actions {self.actions[:, step].shape}, got {actions.shape}.")
        if not np.isfinite(actions[self.active]).all():
            raise ActionError(f"The planner must return finite actions, got NaN or infinity at step {step}.")
        for index in np.flatnonzero(self.active):
            self._advance_one(int(index), step, actions[index])

    def _advance_one(self, index: int, step: int, action: Float[np.ndarray, " action"]) -> None:
        observation, reward, terminated, truncated, info = self._envs[index].step(action)
        self.present[index] = observation
        self.observations[index, step + 1] = observation
        self.actions[index, step] = action
        self.rewards[index, step] = reward
        self.reached[index, step] = self.targets is not None and info.get("success", reward > 0)
        self.lengths[index] = step + 1
        self.terminated[index] = terminated
        self.truncated[index] = truncated or (step + 1 == self.limit and not terminated)
        self.active[index] = not (self.terminated[index] or self.truncated[index])
        self.film.take(index, step + 1, ended=not self.active[index])
