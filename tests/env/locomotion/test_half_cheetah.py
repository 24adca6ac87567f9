"""The half-cheetah against steps that the real HalfCheetah-v2 took."""

from pathlib import Path
from typing import Literal

import numpy as np

from diffplan.env.locomotion.bodies import HalfCheetah

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "half_cheetah_v2.npz")


def one_step_errors(capsule_masses: Literal["d4rl", "exact"]) -> tuple[np.ndarray, np.ndarray]:
    """Greatest error of each next observation, and error of each reward, from the recorded state and action."""
    env = HalfCheetah(capsule_masses=capsule_masses)
    observation_errors, reward_errors = [], []
    for observations, actions, rewards in zip(
        GOLDEN["observations"].astype(np.float64), GOLDEN["actions"], GOLDEN["rewards"], strict=True
    ):
        for step, action in enumerate(actions):
            env.reset(seed=0)
            env.set_state(np.concatenate([[0.0], observations[step, :8]]), observations[step, 8:])
            observation, reward, *_ = env.step(action)
            observation_errors.append(np.abs(observation - observations[step + 1]).max())
            reward_errors.append(abs(reward - rewards[step]))
    return np.array(observation_errors), np.array(reward_errors)


def test_it_takes_the_steps_that_the_real_version_2_took():
    observation_errors, reward_errors = one_step_errors("d4rl")
    # The file has single precision, which contacts enlarge.
    assert np.median(observation_errors) < 2e-6
    assert observation_errors.max() < 1e-3
    assert reward_errors.max() < 1e-5


def test_with_today_s_capsule_masses_it_does_not():
    observation_errors, _ = one_step_errors("exact")
    assert np.median(observation_errors) > 0.01
