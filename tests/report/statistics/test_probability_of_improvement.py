import numpy as np
import pytest

from diffplan.report.statistics.probability_of_improvement import ProbabilityOfImprovement
from tests.report.statistics.test_score_statistics import GOLDEN


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: f"{len(golden['scores'])}x{len(golden['scores'][0])}")
def test_the_probability_is_rliable_s(golden):
    found = ProbabilityOfImprovement.of(np.array(golden["scores"]), np.array(golden["theirs"]))
    assert found.probability == pytest.approx(golden["probability_of_improvement"])
    assert found.interval[0] < found.probability < found.interval[1]


def test_ties_count_half():
    ones = np.ones((2, 3))
    found = ProbabilityOfImprovement.of(ones, ones)
    assert (found.probability, *found.interval) == pytest.approx((0.5, 0.5, 0.5))


def test_each_episode_is_compared_with_itself():
    hard_and_easy = np.array([[0.0, 100.0]])
    assert ProbabilityOfImprovement.of(hard_and_easy + 1, hard_and_easy).probability == 1.0


def test_one_training_of_each_is_as_sure_as_its_episodes():
    wins = np.array([[1.0] * 60 + [0.0] * 40])
    low, high = ProbabilityOfImprovement.of(wins, np.full((1, 100), 0.5)).interval
    # 1.96 deviations of a share of 0.6 in 100 episodes.
    assert (low, high) == pytest.approx((0.504, 0.696), abs=0.02)


def test_trainings_that_differ_make_it_less_sure():
    rng = np.random.default_rng(0)
    episodes = rng.normal(size=(4, 100))
    shifted = episodes + np.array([[-3.0], [-3.0], [3.0], [3.0]])
    unsure = ProbabilityOfImprovement.of(shifted, episodes).interval
    sure = ProbabilityOfImprovement.of(episodes, episodes[::-1]).interval
    assert np.ptp(unsure) > 2 * np.ptp(sure)
