import numpy as np
import pytest

from diffplan.data.source.base import Episode, Transitions
from diffplan.method import critic
from diffplan.method.critic import ReturnTarget


def episode(rewards, terminated: bool) -> Episode:
    count = len(rewards)
    return Episode(
        np.zeros((count, 2), np.float32), np.zeros((count, 1), np.float32), np.asarray(rewards, np.float32),
        terminated, not terminated,
    )  # fmt: skip


def returns_to_go(episodes, target):
    data = Transitions.from_episodes(episodes)
    return critic.returns_to_go(data.rewards, data.ends, data.terminated, target)


def test_the_return_is_discounted_from_each_row_to_the_end_of_its_own_episode():
    episodes = [episode([1, 2, 3], False), episode([10, 20], False)]
    returns = returns_to_go(episodes, ReturnTarget(0.5, -100.0))
    assert returns.dtype == np.float64
    assert returns.tolist() == [1 + 1 + 0.75, 2 + 1.5, 3, 20, 20]


def test_only_a_terminal_state_is_punished_and_only_once():
    returns = returns_to_go([episode([1, 1], True), episode([1, 1], False)], ReturnTarget(0.5, -100.0))
    assert returns.tolist() == [1 + 0.5 * -99, -99, 1.5, 1]


def test_nothing_follows_a_time_limit_unless_its_mean_reward_is_taken_to():
    rewards = [4.0, 2.0, 3.0]
    truncated = returns_to_go([episode(rewards, False)], ReturnTarget(0.9, -100.0, "truncate"))
    extrapolated = returns_to_go([episode(rewards, False)], ReturnTarget(0.9, -100.0, "extrapolate"))
    assert truncated[-1] == 3.0
    for row in range(3):
        # Mean reward 3 for ever after is worth 3 / (1 - 0.9) = 30 at the limit.
        assert extrapolated[row] - truncated[row] == pytest.approx(0.9 ** (3 - row) * 30.0, rel=1e-5)


def test_a_steady_episode_has_the_same_extrapolated_return_everywhere():
    returns = returns_to_go([episode([2.0] * 50, False)], ReturnTarget(0.99, -100.0, "extrapolate"))
    assert returns == pytest.approx(np.full(50, 200.0), rel=1e-5)


def test_a_terminal_state_is_never_extrapolated():
    targets = [ReturnTarget(0.9, -5.0, time_limit) for time_limit in ("truncate", "extrapolate")]
    first, second = (returns_to_go([episode([1.0, 1.0], True)], target) for target in targets)
    assert np.array_equal(first, second)


def test_long_episodes_keep_their_precision():
    rewards = np.random.default_rng(0).normal(3.0, 1.0, 1000)
    returns = returns_to_go([episode(rewards, False)], ReturnTarget(0.997, 0.0))
    exact = (np.float32(rewards).astype(np.float64) * 0.997 ** np.arange(1000)).sum()
    assert returns[0] == pytest.approx(exact, rel=1e-6)
