import numpy as np
import pytest

from diffplan.env.watched_planner import Moments


def watched(steps, every=1):
    """Two environments, of which the second is watched; a plan holds the step it was made at."""
    moments = Moments([1])
    for step in range(steps):
        moments.watch(step, np.full((2, 3, 4), step, dtype=float), np.full(2, step % every == 0))
    return moments


@pytest.mark.parametrize("every", [1, 3, 8])
@pytest.mark.parametrize("steps", [1, 7, 60, 400, 1000])
def test_moments_are_few_evenly_spread_and_begin_with_the_first(steps, every):
    kept = [moment.step for moment in watched(steps, every).spread(100)]
    assert kept[0] == 0
    assert len(kept) <= 8
    assert len(set(np.diff(kept))) <= 1
    # What is left at the end is shorter than one more interval.
    decisions = range(0, steps, every)
    assert decisions[-1] - kept[-1] < (kept[1] if len(kept) > 1 else every)


def test_a_moment_holds_its_own_plan():
    for moment in watched(200).spread(4):
        assert moment.env == 1
        assert (moment.plan == moment.step).all()
        assert moment.plan.shape == (3, 4)


def test_no_more_are_given_than_asked_for():
    assert len(watched(200).spread(4)) == 4
    assert len(watched(2).spread(4)) == 2
    assert Moments([0]).spread(4) == ()


def test_only_plans_of_that_step_are_moments():
    moments = Moments([0, 1])
    moments.watch(5, np.zeros((2, 3, 4)), np.array([True, False]))
    assert [(moment.env, moment.step) for moment in moments.spread(4)] == [(0, 5)]
