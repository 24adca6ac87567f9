import pytest

from diffplan.errors import ResultError
from diffplan.report.pooled_scores import PooledScores, repetition_notes
from diffplan.run.result import FileIdentity
from tests.report.conftest import VERSIONS, make_episodes, make_result, played, stored


def evaluation(source, scores, first_seed=0, created="2026-01-01", **facts):
    protocols = {"single_task": make_episodes(scores, first_seed)}
    return stored(make_result(protocols=protocols, created=created, **facts), source)


def pooled(*results, **options):
    return PooledScores.of(played(*results), **options)


def scores(pool):
    """Score by training seed and by episode seed."""
    return {
        int(seed): dict(zip(one.index.get_level_values("episode"), one, strict=True))
        for seed, one in pool.scores.groupby("seed")
    }


def test_seeds_are_kept_apart_and_episodes_by_their_seed(two_seeds):
    pool = pooled(*reversed(two_seeds))
    assert scores(pool) == {0: {0: 50, 1: 60, 2: 70, 3: 80}, 1: {0: 40, 1: 50, 2: 60, 3: 70}}
    assert (pool.statistics.mean, pool.episodes_per_seed) == (60.0, 4)
    assert (pool.decision_gflop, pool.decision_cpu_seconds) == pytest.approx((1.0, 0.1))


def test_latched_scores_are_taken_where_they_are_asked_for(two_seeds):
    assert pooled(*two_seeds, metric="latched").statistics.mean == 70.0
    goalless = stored(protocols={"single_task": make_episodes([1.0], latched=False)})
    with pytest.raises(ResultError, match="has no latched score"):
        pooled(goalless, metric="latched")


def test_an_evaluation_whose_episodes_a_larger_one_has_counts_once():
    pool = pooled(evaluation("small", [1.0, 2.0]), evaluation("large", [1.0, 2.0, 3.0]))
    assert scores(pool) == {0: {0: 1.0, 1: 2.0, 2: 3.0}}
    assert pool.dropped == ["small repeats episodes of large and is not counted"]


def test_of_equal_evaluations_the_newer_one_counts_and_a_difference_is_told():
    pool = pooled(evaluation("old", [1.0], created="2026-01-01"), evaluation("new", [5.0], created="2026-02-01"))
    assert scores(pool) == {0: {0: 5.0}}
    assert pool.dropped == ["old repeats episodes of new and is not counted, and their returns differ"]


def test_an_older_version_s_evaluation_that_is_repeated_is_no_obstacle():
    old = evaluation("old", [1.0], versions=VERSIONS | {"torch": "1.0"})
    assert pooled(old, evaluation("new", [1.0, 2.0])).allowed == []


def test_the_same_record_from_two_places_counts_once_and_is_not_worth_a_word(two_seeds):
    copy = stored(two_seeds[0].result, "https://wandb.ai/lab/diffplan/runs/abc")
    assert pooled(*two_seeds, copy).dropped == []
    assert scores(pooled(*two_seeds, copy)) == scores(pooled(*two_seeds))


def test_evaluations_that_overlap_in_part_are_joined_if_they_agree():
    first, second = evaluation("first", [1.0, 2.0]), evaluation("second", [2.0, 3.0], first_seed=1)
    assert scores(pooled(first, second)) == {0: {0: 1.0, 1: 2.0, 2: 3.0}}
    with pytest.raises(ResultError, match=r"first and second .* got different returns"):
        pooled(first, evaluation("second", [9.0, 3.0], first_seed=1))


def test_joined_episodes_must_be_those_of_the_other_seeds():
    parts = evaluation("first", [1.0]), evaluation("second", [2.0], first_seed=1)
    assert pooled(*parts, evaluation("other", [3.0, 4.0], seed=1)).statistics.num_episodes == 4
    with pytest.raises(ResultError, match="differ in episodes"):
        pooled(*parts, evaluation("other", [3.0], seed=1))


def test_two_checkpoints_of_one_training_seed_are_refused():
    other = evaluation("other", [1.0, 2.0], checkpoint=FileIdentity(path="p", sha256="different"))
    for allow in ((), ("settings",)):
        with pytest.raises(ResultError, match="training seed 0 is there twice"):
            pooled(evaluation("one", [1.0, 2.0]), other, allow=allow)


def test_a_cost_that_one_result_does_not_know_is_not_known(two_seeds):
    unknown = stored(seed=2, protocols={"single_task": make_episodes([1.0] * 4, gflop=None)})
    assert pooled(*two_seeds, unknown).decision_gflop is None


def test_the_first_are_named_once_and_the_rest_counted():
    assert repetition_notes([]) == []
    assert repetition_notes(["a repeats b", "a repeats b"]) == ["a repeats b."]
    notes = repetition_notes([f"{number} repeats" for number in range(5)])
    assert notes[2:] == ["2 repeats.", "2 more evaluations repeat episodes and are not counted."]
