import json
from pathlib import Path

import numpy as np
import pytest

from diffplan.env.score import standard_error
from diffplan.errors import ResultError
from diffplan.report.statistics import (
    ProbabilityOfImprovement,
    ScoreStatistics,
    draw_groups,
    interquartile_mean,
    percentile_interval,
    resample_counts,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "rliable_1_2_0.json").read_text())


def normal(means, spread, num_episodes, seed=0):
    rng = np.random.default_rng(seed)
    return {number: rng.normal(mean, spread, num_episodes) for number, mean in enumerate(means)}


def test_mean_and_standard_error_are_the_paper_s():
    scores = normal([100, 110], 20, 50)
    pooled = np.concatenate(list(scores.values()))
    found = ScoreStatistics.of(scores)
    assert (found.mean, found.stderr) == pytest.approx((pooled.mean(), standard_error(pooled)))
    assert (found.num_seeds, found.num_episodes, found.count_text) == (2, 100, "2 x 50")
    assert found.seed_means == pytest.approx({0: scores[0].mean(), 1: scores[1].mean()})


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: f"{len(golden['scores'])}x{len(golden['scores'][0])}")
def test_estimates_and_stratified_intervals_are_rliable_s(golden):
    columns = np.array(golden["scores"]).T
    found = ScoreStatistics.of(dict(enumerate(columns)), resample_seeds=False)
    assert (found.iqm, found.mean) == pytest.approx((golden["iqm"], golden["mean"]))
    # 2,000 resamples against 20,000: an end of the interval is off by 5 % of its length at most.
    for ours, theirs in ((found.iqm_interval, golden["iqm_interval"]), (found.mean_interval, golden["mean_interval"])):
        assert ours == pytest.approx(theirs, abs=0.05 * (theirs[1] - theirs[0]))


def test_one_seed_has_the_interval_of_its_episodes():
    scores = normal([100], 20, 400)
    low, high = ScoreStatistics.of(scores).mean_interval
    error = standard_error(scores[0])
    assert (low, high) == pytest.approx((scores[0].mean() - 1.96 * error, scores[0].mean() + 1.96 * error), abs=0.15)


def test_the_interval_is_as_wide_as_seeds_and_episodes_together_make_it():
    scores = normal([80, 90, 100, 110, 120, 130], 20, 50)
    within = np.mean([values.var() for values in scores.values()]) / 50
    between = np.var([values.mean() for values in scores.values()])
    deviation = np.sqrt((between + within) / 6)
    low, high = ScoreStatistics.of(scores).mean_interval
    # 2,000 resamples know each end to about 4 % of the deviation.
    assert (high - low) / 2 == pytest.approx(1.96 * deviation, rel=0.08)


def test_seeds_that_differ_widen_the_interval():
    apart = ScoreStatistics.of(normal([50, 150], 5, 50))
    alike = ScoreStatistics.of(normal([100, 100], 5, 50))
    assert np.ptp(apart.mean_interval) > 10 * np.ptp(alike.mean_interval)


def test_the_same_scores_give_the_same_intervals():
    assert ScoreStatistics.of(normal([1, 2], 3, 9)) == ScoreStatistics.of(normal([1, 2], 3, 9))


def test_seeds_may_have_different_numbers_of_episodes():
    found = ScoreStatistics.of({0: [1.0] * 3, 1: [1.0] * 4})
    assert found.mean_interval == found.iqm_interval == (1.0, 1.0)
    assert found.count_text == "2 seeds, 7 episodes"


@pytest.mark.parametrize("scores", [{}, {0: []}, {0: [1.0], 1: []}, {0: [1.0, float("nan")]}])
def test_nothing_and_what_is_not_finite_are_refused(scores):
    with pytest.raises(ResultError, match="statistics need"):
        ScoreStatistics.of(scores)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([5.0], 5.0),
        ([1.0, 2.0, 9.0], 4.0),  # a quarter of three is none
        ([0.0, 1.0, 2.0, 99.0], 1.5),
        ([7.0, -50.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 900.0], 4.0),
    ],
)
def test_the_lowest_and_the_highest_quarter_do_not_count(values, expected):
    assert interquartile_mean(np.array(values)) == pytest.approx(expected)


def test_a_value_counts_as_often_as_it_is_drawn():
    values = np.array([4.0, 1.0, 100.0])
    counts = np.array([[3, 1, 0], [1, 1, 6], [0, 0, 1]])
    expected = [float(interquartile_mean(np.repeat(values, row))) for row in counts]
    assert interquartile_mean(values, counts).tolist() == pytest.approx(expected)
    assert expected == [4.0, 100.0, 100.0]


SIZES = [3, 2]


def drawn(**options):
    return resample_counts(SIZES, 4000, np.random.default_rng(0), **options)


def test_without_resampling_of_groups_every_group_keeps_its_size():
    counts = drawn(resample_groups=False)
    assert (counts[:, :3].sum(axis=1) == 3).all()
    assert (counts[:, 3:].sum(axis=1) == 2).all()


def test_a_drawn_group_brings_as_many_values_as_it_has():
    sizes = drawn(resample_groups=True).sum(axis=1)
    assert set(sizes) == {4, 5, 6}
    # Two draws of two groups: both the same in half of them, the smaller one in a quarter.
    assert np.mean(sizes == 4) == pytest.approx(0.25, abs=0.03)


def test_every_value_of_a_group_is_drawn_equally_often():
    assert drawn(resample_groups=False).mean(axis=0) == pytest.approx([1.0] * 5, abs=0.05)


def test_a_value_can_be_drawn_again():
    assert drawn(resample_groups=False).max() == 3


def test_groups_are_drawn_with_replacement():
    rows = draw_groups(3, 3000, np.random.default_rng(0), resample_groups=True)
    assert np.mean([len(set(row)) == 3 for row in rows.tolist()]) == pytest.approx(6 / 27, abs=0.03)


def test_an_interval_holds_the_middle_95_percent():
    assert percentile_interval(np.arange(1001.0)) == pytest.approx((25.0, 975.0))


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
