"""The one episode loop: many environments, one planner call per step, exact accounting."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import gymnasium
import numpy as np
from jaxtyping import Bool, Float, Float64, Int64, UInt8

from diffplan.env.make_env import make_env
from diffplan.env.score import latched_returns
from diffplan.errors import ActionError, ConfigError

PROTOCOLS = ("single_task", "multi2d")
_MAX_FRAMES = 150


@runtime_checkable
class Planner(Protocol):
    """What ``rollout`` asks of a planner; all environments are handled in one call."""

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


@dataclass(frozen=True, repr=False)
class Rollout:
    """One episode per seed, as it happened.

    Attributes:
        env_id: Environment.
        protocol: ``single_task`` with the environment's own target, ``multi2d`` with a random one.
        seeds: Seed each environment was reset with.
        starts: First observations.
        targets: Targets in metres; None where the task has none.
        observations: Observations, the first one included; NaN after the end of an episode.
        actions: Actions as the planner gave them; NaN after the end.
        rewards: Rewards; 0 after the end.
        reached: Whether the step ended at the goal: ``info["success"]``, or a reward above 0 in environments without.
        lengths: Steps of each episode.
        terminated: Episodes that ended in a terminal state.
        truncated: Episodes that ended at a time limit.
        plans: What the planner imagined after its first action, in raw units.
        planning_seconds: Wall time spent in the planner, all environments together.
        num_decisions: Calls of the planner; each decides for all environments.
        frames: Pictures of the environments that were to be rendered, by their index.
        frame_interval: Steps between two pictures.
    """

    env_id: str
    protocol: str
    seeds: tuple[int, ...]
    starts: Float64[np.ndarray, "env observation"]
    targets: Float64[np.ndarray, "env 2"] | None
    observations: Float64[np.ndarray, "env step_and_one observation"]
    actions: Float64[np.ndarray, "env step action"]
    rewards: Float64[np.ndarray, "env step"]
    reached: Bool[np.ndarray, "env step"]
    lengths: Int64[np.ndarray, " env"]
    terminated: Bool[np.ndarray, " env"]
    truncated: Bool[np.ndarray, " env"]
    plans: Float[np.ndarray, "env row observation"] | None
    planning_seconds: float
    num_decisions: int
    frames: dict[int, UInt8[np.ndarray, "frame height width 3"]] = field(default_factory=dict)
    frame_interval: int = 1

    @property
    def complete(self) -> bool:
        """False where the loop was asked to stop before every episode had ended."""
        return bool((self.terminated | self.truncated).all())

    @property
    def returns(self) -> Float64[np.ndarray, " env"]:
        """Undiscounted return of each episode."""
        return self.rewards.sum(axis=1)

    @property
    def latched_returns(self) -> Float64[np.ndarray, " env"]:
        """Steps of each episode from the first one at the goal, as if that had ended the task."""
        return latched_returns(self.reached.astype(np.float64), self.lengths)

    @property
    def successes(self) -> Bool[np.ndarray, " env"]:
        """Whether each episode was ever at the goal."""
        return np.asarray(self.reached.any(axis=1))

    @property
    def steps_to_goal(self) -> Float64[np.ndarray, " env"]:
        """Steps until each episode was first at the goal; NaN where it never was."""
        return np.where(self.successes, self.reached.argmax(axis=1) + 1.0, np.nan)

    def __repr__(self) -> str:
        return (
            f"Rollout({self.env_id}, {self.protocol}, episodes={len(self.seeds)}, mean_return={self.returns.mean():.2f}"
            f", successes={int(self.successes.sum())}, steps={int(self.lengths.sum())})"
        )


def rollout(
    env_id: str,
    planner: Planner,
    seeds: Sequence[int],
    *,
    protocol: Literal["single_task", "multi2d"] = "single_task",
    max_steps: int | None = None,
    render: Sequence[int] = (),
    should_stop: Callable[[], bool] | None = None,
) -> Rollout:
    """Plays one episode per seed, all environments side by side.

    Every reward up to and including the last step of an episode counts, none after it.

    Args:
        env_id: Environment.
        planner: Chooses the actions of all environments at once.
        seeds: One per episode; the same seed always gives the same start and target.
        protocol: ``multi2d`` draws a random target for every episode.
        max_steps: Truncates episodes after this many steps; None leaves it to the environment's own limit.
        render: Indices of the environments to take pictures of, at most about 150 each.
        should_stop: Asked before every step; True ends the loop with what has been played.

    Raises:
        EnvironmentIdError: no environment has this id.
        ConfigError: an unknown protocol, no seeds, no step limit, an index in ``render`` without an environment, or a
            task without a target under ``multi2d``.
        ActionError: the planner returned actions of the wrong shape or not finite.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"A protocol must be one of {', '.join(PROTOCOLS)}; got {protocol!r}.")
    if not seeds or any(index not in range(len(seeds)) for index in render):
        raise ConfigError(f"A rollout needs seeds and renders some of them; got {len(seeds)} seeds, {list(render)}.")
    envs = [make_env(env_id, "rgb_array" if index in render else None) for index in range(len(seeds))]
    try:
        if protocol == "multi2d" and not hasattr(envs[0].unwrapped, "target"):
            raise ConfigError(f"The protocol 'multi2d' needs an environment with a target; {env_id!r} has none.")
        episodes = _Episodes(envs, seeds, protocol, _step_limit(envs[0], env_id, max_steps), render)
        plans = _play(episodes, planner, should_stop)
        return episodes.record(env_id, protocol, plans)
    finally:
        for env in envs:
            env.close()


def _step_limit(env: gymnasium.Env, env_id: str, max_steps: int | None) -> int:
    own = None if env.spec is None else env.spec.max_episode_steps
    limits = [limit for limit in (own, max_steps) if limit is not None]
    if not limits or min(limits) < 1:
        raise ConfigError(f"Episodes of {env_id!r} need a limit of at least 1 step; got max_steps={max_steps}.")
    return min(limits)


def _play(
    episodes: "_Episodes", planner: Planner, should_stop: Callable[[], bool] | None
) -> Float[np.ndarray, "env row observation"] | None:
    """Runs the episodes to their end and returns the first plans."""
    plans = None
    begin = time.perf_counter()
    planner.reset(episodes.present.copy(), episodes.targets, episodes.seeds)
    episodes.planning_seconds += time.perf_counter() - begin
    for step in range(episodes.limit):
        if not episodes.active.any() or (should_stop is not None and should_stop()):
            break
        begin = time.perf_counter()
        actions = planner.act(episodes.present.copy(), episodes.active.copy())
        episodes.planning_seconds += time.perf_counter() - begin
        if step == 0:
            plans = planner.plans()
        episodes.advance(step, actions)
    return plans


class _Episodes:
    """The running episodes and what they have recorded."""

    def __init__(
        self, envs: list[gymnasium.Env], seeds: Sequence[int], protocol: str, limit: int, render: Sequence[int]
    ) -> None:
        self.envs, self.seeds, self.limit = envs, tuple(seeds), limit
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
        self.planning_seconds, self.num_decisions = 0.0, 0
        self.frame_interval = -(-limit // _MAX_FRAMES)
        self.frames: dict[int, list[Any]] = {index: [envs[index].render()] for index in render}

    def advance(self, step: int, actions: Float[np.ndarray, "env action"]) -> None:
        """Steps every running episode."""
        self.num_decisions += 1
        if actions.shape != self.actions[:, step].shape:
            raise ActionError(f"The planner must return actions {self.actions[:, step].shape}, got {actions.shape}.")
        if not np.isfinite(actions[self.active]).all():
            raise ActionError(f"The planner must return finite actions, got NaN or infinity at step {step}.")
        for index in np.flatnonzero(self.active):
            self._advance_one(int(index), step, actions[index])

    def _advance_one(self, index: int, step: int, action: Float[np.ndarray, " action"]) -> None:
        observation, reward, terminated, truncated, info = self.envs[index].step(action)
        self.present[index] = observation
        self.observations[index, step + 1] = observation
        self.actions[index, step] = action
        self.rewards[index, step] = reward
        self.reached[index, step] = info.get("success", reward > 0)
        self.lengths[index] = step + 1
        self.terminated[index] = terminated
        self.truncated[index] = truncated or (step + 1 == self.limit and not terminated)
        self.active[index] = not (self.terminated[index] or self.truncated[index])
        if index in self.frames and ((step + 1) % self.frame_interval == 0 or not self.active[index]):
            self.frames[index].append(self.envs[index].render())

    def record(self, env_id: str, protocol: str, plans: Float[np.ndarray, "env row observation"] | None) -> Rollout:
        """Freezes what was played; arrays end at the longest episode."""
        steps = max(int(self.lengths.max()), 1)
        return Rollout(
            env_id=env_id,
            protocol=protocol,
            seeds=self.seeds,
            starts=self.observations[:, 0].copy(),
            targets=self.targets,
            observations=self.observations[:, : steps + 1],
            actions=self.actions[:, :steps],
            rewards=self.rewards[:, :steps],
            reached=self.reached[:, :steps],
            lengths=self.lengths,
            terminated=self.terminated,
            truncated=self.truncated,
            plans=plans,
            planning_seconds=self.planning_seconds,
            num_decisions=self.num_decisions,
            frames={index: np.stack(frames) for index, frames in self.frames.items()},
            frame_interval=self.frame_interval,
        )
