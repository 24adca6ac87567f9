import numpy as np
import pytest

from diffplan.env.score import latched_returns, normalized_score, standard_error


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
