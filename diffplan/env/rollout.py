"""The one episode loop: many environments, one planner call per step, exact accounting."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import gymnasium
import numpy as np
from jaxtyping import Bool, Float, Float64, Int64, UInt8

from diffplan.env.make_env import make_env
from diffplan.env.render import Film
from diffplan.env.score import latched_returns
from diffplan.env.watched_planner import ImaginedMoment, PlannerRecord
from diffplan.errors import ActionError, ConfigError
from diffplan.method.critic import ReturnTarget
from diffplan.planner.base import AbstractPlanner

PROTOCOLS = ("single_task", "multi2d")
_MOST_MOMENTS = 4


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
        reached: Whether the step ended at the goal: ``info["success"]``, or a reward above 0 in environments that do
            not report it. Always False if the task has no target.
        lengths: Steps of each episode.
        terminated: Episodes that ended in a terminal state.
        truncated: Episodes that ended at a time limit.
        plans: What the planner planned before its first action, in raw units.
        planning_seconds: Wall time spent in the planner, all environments together.
        num_decisions: Calls of the planner; each decides for all environments.
        frames: Pictures of the rendered environments, by their index.
        frame_interval: Steps between two pictures; fewer before the last one of an episode.
        planning_cpu_seconds: Processor time spent in the planner, over all its threads.
        decision_flops: Floating-point operations for one decision of one environment; None where they are not counted.
        values: The critic's value of the plan that was chosen at each step; NaN at steps without planning and after the
            end. None without a critic.
        value_target: What such a value predicts.
        moments: Plans of a few decisions in the rendered environments.
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
    planning_cpu_seconds: float = 0.0
    decision_flops: float | None = None
    values: Float64[np.ndarray, "env step"] | None = None
    value_target: ReturnTarget | None = None
    moments: tuple[ImaginedMoment, ...] = ()

    @property
    def has_goal(self) -> bool:
        """Whether the task has a goal. Without one, success and steps to the goal have no meaning."""
        return self.targets is not None

    @property
    def complete(self) -> bool:
        """Whether every episode has ended; False if the loop was asked to stop early."""
        return bool((self.terminated | self.truncated).all())

    @property
    def returns(self) -> Float64[np.ndarray, " env"]:
        """Undiscounted return of each episode."""
        return self.rewards.sum(axis=1)

    @property
    def latched_returns(self) -> Float64[np.ndarray, " env"]:
        """Steps of each episode from its first step at the goal on, as if reaching it had ended the task."""
        return latched_returns(self.reached.astype(np.float64), self.lengths)

    @property
    def successes(self) -> Bool[np.ndarray, " env"]:
        """Whether each episode reached the goal at any step."""
        return np.asarray(self.reached.any(axis=1))

    @property
    def steps_to_goal(self) -> Float64[np.ndarray, " env"]:
        """Steps until each episode was first at the goal; NaN where it never was."""
        return np.where(self.successes, self.reached.argmax(axis=1) + 1.0, np.nan)

    def __repr__(self) -> str:
        ends = f"successes={self.successes.sum()}" if self.has_goal else f"terminated={self.terminated.sum()}"
        return (
            f"Rollout({self.env_id}, {self.protocol}, episodes={len(self.seeds)}, mean_return={self.returns.mean():.2f}"
            f", {ends}, steps={int(self.lengths.sum())})"
        )


class Episodes:
    """Runs episodes side by side and records them.

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
        targets, observations, actions, rewards, reached, lengths, terminated, truncated: As in ``Rollout``, with room
            for ``limit`` steps.
    """

    def __init__(
        self, envs: Sequence[gymnasium.Env], seeds: Sequence[int], protocol: str, limit: int, render: Sequence[int]
    ) -> None:
        self.seeds, self.limit = tuple(seeds), limit
        options = {"target": "random"} if protocol == "multi2d" else None
        # The seed alone decides start and target, whatever other episodes are played.
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


def rollout(
    env_id: str,
    planner: AbstractPlanner,
    seeds: Sequence[int],
    *,
    protocol: Literal["single_task", "multi2d"] = "single_task",
    max_steps: int | None = None,
    render: Sequence[int] = (),
    should_stop: Callable[[], bool] | None = None,
    on_step: Callable[[], None] | None = None,
) -> Rollout:
    """Plays one episode per seed, all environments side by side.

    Every reward up to and including the last step of an episode counts, none after it.

    Args:
        env_id: Environment.
        planner: Chooses the actions of all environments at once.
        seeds: One per episode; the same seed always gives the same start and target.
        protocol: ``multi2d`` draws a random target for every episode.
        max_steps: Truncates episodes after this many steps; None leaves it to the environment's own limit.
        render: Indices of the environments to take pictures of, at most about 150 pictures each. If pictures cannot be
            taken, a warning says why and the episodes are played without.
        should_stop: Asked before every step; True ends the loop with what has been played.
        on_step: Called after every step of all environments.

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
        episodes = Episodes(envs, seeds, protocol, _step_limit(envs[0], env_id, max_steps), render)
        record = PlannerRecord(planner, len(seeds), episodes.limit, episodes.film.filmed)
        with record.timing():
            planner.reset(episodes.present.copy(), episodes.targets, episodes.seeds)
        for step in range(episodes.limit):
            if not episodes.active.any() or (should_stop is not None and should_stop()):
                break
            with record.timing():
                actions = planner.act(episodes.present.copy(), episodes.active.copy())
            record.note(step, episodes.active)
            episodes.advance(step, actions)
            if on_step is not None:
                on_step()
        return _rollout(env_id, protocol, episodes, record)
    finally:
        for env in envs:
            env.close()


def _step_limit(env: gymnasium.Env, env_id: str, max_steps: int | None) -> int:
    own = None if env.spec is None else env.spec.max_episode_steps
    limits = [limit for limit in (own, max_steps) if limit is not None]
    if not limits or min(limits) < 1:
        raise ConfigError(f"Episodes of {env_id!r} need a limit of at least 1 step; got max_steps={max_steps}.")
    return min(limits)


def _rollout(env_id: str, protocol: str, episodes: Episodes, record: PlannerRecord) -> Rollout:
    """Collects what was played; arrays end at the longest episode."""
    steps = max(int(episodes.lengths.max()), 1)
    return Rollout(
        env_id=env_id,
        protocol=protocol,
        seeds=episodes.seeds,
        starts=episodes.observations[:, 0].copy(),
        targets=episodes.targets,
        observations=episodes.observations[:, : steps + 1],
        actions=episodes.actions[:, :steps],
        rewards=episodes.rewards[:, :steps],
        reached=episodes.reached[:, :steps],
        lengths=episodes.lengths,
        terminated=episodes.terminated,
        truncated=episodes.truncated,
        plans=record.first_plans,
        planning_seconds=record.seconds,
        num_decisions=record.num_decisions,
        frames=episodes.film.frames(),
        frame_interval=episodes.film.interval,
        planning_cpu_seconds=record.cpu_seconds,
        decision_flops=record.decision_flops,
        values=None if record.values is None else record.values[:, :steps],
        value_target=record.value_target,
        moments=record.moments.spread(_MOST_MOMENTS),
    )
