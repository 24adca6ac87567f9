"""Records episodes as rows of a D4RL file."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from jaxtyping import Float32, Shaped

from diffplan.data.collect.policies import Policy

Rows = dict[str, Shaped[np.ndarray, "_ ..."]]


class EpisodeRecorder(gymnasium.Wrapper):
    """Records every step of a MuJoCo environment. Observations become float32.

    Args:
        env: Environment with a time limit whose actions lie in [-1, 1].

    Attributes:
        log_probability: Density of an action that someone else chose, given an observation and the action.
        ended: Whether the last step ended an episode.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, env.observation_space.shape, np.float32)
        self.log_probability: Callable[[np.ndarray, np.ndarray], float] = lambda observation, action: 0.0
        self.ended = True
        self._rows: list[Mapping[str, Shaped[np.ndarray, "..."]]] = []

    def reset(self, **options: Any) -> tuple[Float32[np.ndarray, " observation"], dict[str, Any]]:
        observation, info = super().reset(**options)
        self._observation = np.asarray(observation, np.float32)
        return self._observation, info

    def step(
        self, action: Float32[np.ndarray, " action"]
    ) -> tuple[Float32[np.ndarray, " observation"], float, bool, bool, dict[str, Any]]:
        return self._step(action, self.log_probability(self._observation, action))

    def play(self, policy: Policy, seed: np.random.SeedSequence) -> Rows:
        """Plays one episode and returns its rows.

        Args:
            policy: Chooses the actions.
            seed: Seed of the start state and of the policy's random numbers.
        """
        generator = np.random.default_rng(seed)
        observation, _ = self.reset(seed=int(seed.generate_state(1)[0]))
        self.ended = False
        while not self.ended:
            observation, *_ = self._step(*policy.sample(observation, generator))
        return self.take()

    def take(self) -> Rows:
        """Returns D4RL's arrays of the steps since the last call.

        Positions, velocities and log-probabilities are those before a step. A step at the time limit counts as a
        timeout, even if the task ended there too.
        """
        rows, self._rows = self._rows, []
        return {key: np.stack([row[key] for row in rows]) for key in rows[0]}

    def _step(
        self, action: Float32[np.ndarray, " action"], log_probability: float
    ) -> tuple[Float32[np.ndarray, " observation"], float, bool, bool, dict[str, Any]]:
        data = self.env.unwrapped.data
        row = {
            "observations": self._observation,
            "actions": np.array(action, np.float32),
            "infos/qpos": data.qpos.astype(np.float32),
            "infos/qvel": data.qvel.astype(np.float32),
            "infos/action_log_probs": np.array(log_probability, np.float32),
        }
        after, reward, terminated, truncated, info = self.env.step(action)
        terminated = terminated and not truncated
        self._observation = np.asarray(after, np.float32)
        row |= {
            "rewards": np.array(reward, np.float32),
            "terminals": np.array(terminated, np.bool_),
            "timeouts": np.array(truncated, np.bool_),
            "next_observations": self._observation,
        }
        self._rows.append(row)
        self.ended = terminated or truncated
        return self._observation, float(reward), terminated, truncated, info


def join(parts: Sequence[Rows]) -> Rows:
    """Concatenates the arrays of several recordings."""
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def episode_returns(rows: Rows) -> Float32[np.ndarray, " episode"]:
    """Returns the undiscounted return of every complete episode."""
    ends = np.flatnonzero(rows["terminals"] | rows["timeouts"])
    totals = np.cumsum(rows["rewards"], dtype=np.float64)[ends]
    return np.diff(totals, prepend=0.0).astype(np.float32)
