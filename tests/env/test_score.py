import numpy as np
import pytest

from diffplan.env.score import (
    PairedDifference,
    latched_returns,
    normalized_score,
    standard_error,
    student_quantile,
)


def test_the_references_score_nought_and_a_hundred():
    scores = normalized_score(np.array([23.85, 161.86, 181.04]), 23.85, 161.86)
    np.testing.assert_allclose(scores, [0, 100, 113.9], atol=0.01)


def test_the_standard_error_divides_by_the_sample_size():
    assert standard_error(np.array([1.0, 3.0])) == pytest.approx(1.0 / np.sqrt(2))
    assert standard_error(np.array([5.0])) == 0.0


def test_every_step_after_the_first_rewarded_one_counts():
    rewards = np.array([[0.0, 1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 1.0, 1.0]])
    assert latched_returns(rewards, np.array([5, 5, 3])).tolist() == [4.0, 0.0, 3.0]


def test_rewards_after_the_end_do_not_latch():
    assert latched_returns(np.array([[0.0, 0.0, 1.0]]), np.array([2])).tolist() == [0.0]


def test_the_quantiles_of_student_s_distribution_are_those_of_the_tables():
    for degrees, expected in ((1, 12.7062), (2, 4.3027), (9, 2.2622), (99, 1.9842)):
        assert student_quantile(0.95, degrees) == pytest.approx(expected, abs=1e-4)


def test_a_difference_is_taken_episode_by_episode():
    found = PairedDifference.of([11.0, 21.0, 34.0], [10.0, 20.0, 30.0])
    margin = 4.3027 * np.std([1.0, 1.0, 4.0], ddof=1) / np.sqrt(3)
    assert (found.mean, found.low, found.high) == pytest.approx((2.0, 2.0 - margin, 2.0 + margin), abs=1e-4)
    assert PairedDifference.of([1.0, 2.0, 4.0], [0.0, 0.0, 0.0], num_comparisons=10).low < found.low


def test_a_single_episode_has_an_endless_interval():
    found = PairedDifference.of([3.0], [1.0])
    assert (found.mean, found.low, found.high) == (2.0, -np.inf, np.inf)
