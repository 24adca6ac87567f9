"""Stable-baselines3's SAC, driven one environment step at a time."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float32

from diffplan.data.collect.sac_settings import SacSettings
from diffplan.data.collect.single_precision import single_precision
from diffplan.data.collect.uniform_policy import UniformPolicy
from diffplan.env.episode_recorder import PolicyAction, Row
from diffplan.env.make_env import make_env
from diffplan.errors import ConfigError

_BUFFER_ROWS = 1_000_000


class SacLearner:
    """Learns a policy from the rows it is told.

    The algorithm, its networks and its replay buffer are the library's. Its outer loop is not used, because that one
    cannot be saved and resumed to the same result.

    Args:
        settings: Of the training.

    Raises:
        ConfigError: stable-baselines3 is not installed.

    Reference: Haarnoja et al., "Soft Actor-Critic Algorithms and Applications", algorithm 1.
    """

    def __init__(self, settings: SacSettings) -> None:
        try:
            from stable_baselines3 import SAC
            from stable_baselines3.common.logger import Logger
        except ImportError as error:
            raise ConfigError(
                "Training policies needs the package stable-baselines3; install it with "
                "`pip install diffplan[collect]`."
            ) from error
        self.settings = settings
        # The library takes the spaces from it, and does not play it here.
        env = single_precision(make_env(settings.env_id))
        self.num_rows = 0
        self._sac = SAC(
            "MlpPolicy",
            env,
            buffer_size=_BUFFER_ROWS,
            batch_size=settings.batch_size,
            policy_kwargs={"net_arch": [settings.hidden_width, settings.hidden_width]},
            seed=settings.seed,
            device="cpu",
        )
        self._sac.set_logger(Logger(None, []))
        self._uniform = UniformPolicy(env.action_space.shape[0])

    def reseed(self, seed: np.random.SeedSequence) -> None:
        """Seeds the draws of actions and batches that follow; at every episode, so that it can be resumed there."""
        torch_seed, numpy_seed = seed.generate_state(2)
        torch.manual_seed(int(torch_seed))
        np.random.seed(int(numpy_seed))  # the library's replay buffer draws from the global generator

    def sample(self, observation: Float32[np.ndarray, " observation"], generator: np.random.Generator) -> PolicyAction:
        """Draws an action of the policy being trained, uniform ones at first.

        Args:
            observation: Observation in raw units.
            generator: Source of the randomness at first; the policy draws from PyTorch's.
        """
        if self.num_rows < self.settings.learning_starts:
            return self._uniform.sample(observation, generator)
        with torch.no_grad():
            action, log_probability = self._sac.actor.action_log_prob(torch.from_numpy(observation[None]))
        return PolicyAction(action[0].numpy(), float(log_probability))

    def remember(self, row: Row) -> None:
        """Puts a row into the replay buffer."""
        self._sac.replay_buffer.add(
            row["observations"][None],
            row["next_observations"][None],
            row["actions"][None],
            row["rewards"][None],
            row["terminals"][None],  # the value of a state at the time limit is bootstrapped
            [{}],
        )
        self.num_rows += 1

    def learn(self, row: Row) -> None:
        """Puts a row into the replay buffer and takes a gradient step."""
        self.remember(row)
        if self.num_rows > self.settings.learning_starts:
            self._sac.train(gradient_steps=1, batch_size=self.settings.batch_size)

    def actor(self) -> dict[str, Float32[np.ndarray, "..."]]:
        """Weights of the policy as it is now."""
        state = self._sac.policy.state_dict()
        return {name: tensor.numpy().copy() for name, tensor in state.items() if name.startswith("actor.")}

    def state(self) -> dict[str, object]:
        """Networks, optimisers and entropy coefficient; nothing but numbers and their names."""
        return {**self._sac.get_parameters(), "log_ent_coef": self._sac.log_ent_coef.detach()}

    def load_state(self, state: Mapping[str, object]) -> None:
        """Goes back to what ``state`` gave."""
        parameters = dict(state)
        log_ent_coef = parameters.pop("log_ent_coef")
        self._sac.set_parameters(parameters, exact_match=True, device="cpu")
        self._sac.log_ent_coef.data.copy_(log_ent_coef)


@contextmanager
def private_random_state() -> Iterator[None]:
    """One thread, and global random states that are put back at the end."""
    numpy_state, python_state, num_threads = np.random.get_state(), random.getstate(), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)
        torch.set_num_threads(num_threads)
