import numpy as np
import pytest

from diffplan.env.plan_measures import ValueCalibration, discounted_returns
from diffplan.env.rollout import Rollout
from diffplan.method.critic import ReturnTarget

REWARDS = np.array([[1.0, 2.0, 4.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
LENGTHS, TERMINATED = np.array([3, 4]), np.array([True, False])


def make_rollout(values, **changes):
    fields = {
        "env_id": "hopper-medium-v2",
        "protocol": "single_task",
        "seeds": (0, 1),
        "starts": np.zeros((2, 11)),
        "targets": None,
        "observations": np.zeros((2, 5, 11)),
        "actions": np.zeros((2, 4, 3)),
        "rewards": REWARDS,
        "reached": np.zeros((2, 4), dtype=bool),
        "lengths": LENGTHS,
        "terminated": TERMINATED,
        "truncated": ~TERMINATED,
        "plans": None,
        "planning_seconds": 0.1,
        "num_decisions": 4,
        "values": values,
        "value_target": ReturnTarget(0.5, -8.0),
    }
    return Rollout(**fields | changes)


def test_returns_are_exact_with_penalty_and_end():
    returns = discounted_returns(REWARDS, LENGTHS, TERMINATED, ReturnTarget(0.5, -8.0))
    np.testing.assert_array_equal(returns, [[1.0, 0.0, -4.0, np.nan], [1.875, 1.75, 1.5, 1.0]])


def test_a_time_limit_may_be_taken_to_go_on_for_ever():
    returns = discounted_returns(REWARDS, LENGTHS, TERMINATED, ReturnTarget(0.5, -8.0, "extrapolate"))
    np.testing.assert_array_equal(returns, [[1.0, 0.0, -4.0, np.nan], [2.0, 2.0, 2.0, 2.0]])


def test_rewards_are_left_as_they_were():
    before = REWARDS.copy()
    discounted_returns(REWARDS, LENGTHS, TERMINATED, ReturnTarget(0.9, -100.0))
    np.testing.assert_array_equal(REWARDS, before)


def test_a_perfect_critic_correlates_and_has_no_bias():
    returns = discounted_returns(REWARDS, LENGTHS, TERMINATED, ReturnTarget(0.5, -8.0))
    calibration = ValueCalibration.of_rollout(make_rollout(returns))
    assert calibration.correlation == pytest.approx(1.0)
    assert calibration.bias == 0.0
    assert len(calibration.values) == 7


def test_a_bias_is_the_value_minus_the_return():
    returns = discounted_returns(REWARDS, LENGTHS, TERMINATED, ReturnTarget(0.5, -8.0))
    calibration = ValueCalibration.of_rollout(make_rollout(3.0 - 2.0 * returns))
    assert calibration.correlation == pytest.approx(-1.0)
    seen = np.array([1.0, 0.0, -4.0, 1.875, 1.75, 1.5])
    assert calibration.bias == pytest.approx((3.0 - 3.0 * seen).mean())


def test_decisions_that_a_time_limit_hides_by_more_than_a_quarter_do_not_count():
    """With a discount of 0.5 that is the last step alone: two steps before the end a quarter is hidden."""
    calibration = ValueCalibration.of_rollout(make_rollout(np.ones((2, 4))))
    assert calibration.counted.tolist() == [True] * 6 + [False]


def test_steps_that_were_not_planned_are_no_decisions():
    values = np.full((2, 4), np.nan)
    values[1, 2] = 5.0
    calibration = ValueCalibration.of_rollout(make_rollout(values))
    assert (calibration.values.tolist(), calibration.returns.tolist()) == ([5.0], [1.5])


def test_a_constant_critic_has_no_correlation():
    values = np.where(np.arange(4) < LENGTHS[:, None], 1.0, np.nan)
    assert ValueCalibration.of_rollout(make_rollout(values)).correlation is None


def test_undiscounted_returns_count_only_where_the_episode_terminated():
    undiscounted = ReturnTarget(1.0, 0.0)
    calibration = ValueCalibration.of_rollout(make_rollout(np.ones((2, 4)), value_target=undiscounted))
    assert calibration.counted.tolist() == [True] * 3 + [False] * 4


def test_nothing_counted_has_no_bias():
    running = np.zeros(2, dtype=bool)
    hidden = make_rollout(np.ones((2, 4)), value_target=ReturnTarget(1.0, 0.0), terminated=running)
    calibration = ValueCalibration.of_rollout(hidden)
    assert (calibration.bias, calibration.correlation) == (None, None)


def test_without_critic_there_is_nothing_to_compare():
    assert ValueCalibration.of_rollout(make_rollout(None)) is None
    assert ValueCalibration.of_rollout(make_rollout(np.ones((2, 4)), value_target=None)) is None
