import json
from pathlib import Path

import numpy as np
import pytest

from diffplan.env.score import standard_error
from diffplan.errors import ResultError
from diffplan.report.statistics.score_statistics import ScoreStatistics

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "rliable_1_2_0.json").read_text())


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
