"""What a stochastic policy decides."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import gymnasium
import numpy as np
from jaxtyping import Float32, Shaped


@dataclass(frozen=True)
class PolicyAction:
    """One sampled action.

    Attributes:
        action: Actuator commands in [-1, 1].
        log_probability: Logarithm of the policy's density at the action.
    """

    action: Float32[np.ndarray, " action"]
    log_probability: float


Row = dict[str, Shaped[np.ndarray, "..."]]
Rows = dict[str, Shaped[np.ndarray, "_ ..."]]


@runtime_checkable
class Policy(Protocol):
    """Whatever chooses actions."""

    def sample(self, observation: Float32[np.ndarray, " observation"], generator: np.random.Generator) -> PolicyAction:
        """Draws an action for a raw observation."""


class EpisodeRecorder:
    """Plays episodes of a MuJoCo environment.

    Args:
        env: Environment with a time limit whose actions lie in [-1, 1].
    """

    def __init__(self, env: gymnasium.Env) -> None:
        self.env = env

    def play(
        self,
        policy: Policy,
        seed: np.random.SeedSequence,
        on_step: Callable[[Row], None] | None = None,
    ) -> Rows:
        """Plays one episode.

        Args:
            policy: Chooses the actions.
            seed: Seeds the start and the policy's draws.
            on_step: Told every row right after it was played.

        Returns:
            D4RL's arrays by key. A step at the time limit counts as a timeout even if the task ended there too;
            positions, velocities and log-probabilities are those before the step.
        """
        generator = np.random.default_rng(seed)
        observation = np.asarray(self.env.reset(seed=int(seed.generate_state(1)[0]))[0], np.float32)
        data = self.env.unwrapped.data
        rows: list[Row] = []
        ended = False
        while not ended:
            positions, velocities = data.qpos.astype(np.float32), data.qvel.astype(np.float32)
            choice = policy.sample(observation, generator)
            after, reward, terminated, truncated, _ = self.env.step(choice.action)
            next_observation = np.asarray(after, np.float32)
            rows.append(
                {
                    "observations": observation,
                    "actions": choice.action,
                    "rewards": np.array(reward, np.float32),
                    "terminals": np.array(terminated and not truncated, np.bool_),
                    "timeouts": np.array(truncated, np.bool_),
                    "next_observations": next_observation,
                    "infos/qpos": positions,
                    "infos/qvel": velocities,
                    "infos/action_log_probs": np.array(choice.log_probability, np.float32),
                }
            )
            if on_step is not None:
                on_step(rows[-1])
            observation, ended = next_observation, bool(terminated or truncated)
        return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


def join(parts: Sequence[Rows]) -> Rows:
    """Puts the arrays of several recordings one after another."""
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def episode_returns(rows: Rows) -> Float32[np.ndarray, " episode"]:
    """Undiscounted return of every whole episode."""
    ends = np.flatnonzero(rows["terminals"] | rows["timeouts"])
    totals = np.cumsum(rows["rewards"], dtype=np.float64)[ends]
    return np.diff(totals, prepend=0.0).astype(np.float32)
