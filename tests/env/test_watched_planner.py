import numpy as np

from diffplan.env.watched_planner import PlannerRecord
from diffplan.planner.base import AbstractPlanner


class HoldingPlanner(AbstractPlanner):
    """Keeps its plan and the value of it for two steps; the second environment is planned first at step 2."""

    def reset(self, observations, targets, seeds):
        self.step = -1

    def act(self, observations, active):
        self.step += 1
        return np.zeros((2, 1))

    def plans(self):
        held = float(self.step // 2)
        return np.stack([np.full((3, 4), held), np.full((3, 4), max(held, 0.0))])

    def values(self):
        return np.array([1.0, 2.0]) * (self.step // 2)


def watch(active, steps=4):
    planner = HoldingPlanner()
    record = PlannerRecord(planner, 2, 6, [0])
    planner.reset(np.zeros((2, 4)), None, [0, 1])
    for step in range(steps):
        with record.timing():
            planner.act(np.zeros((2, 4)), np.array(active))
        record.note(step, np.array(active))
    return record


def test_a_value_is_noted_once_for_each_plan():
    nan = np.nan
    np.testing.assert_array_equal(watch([True, True]).values, [[0, nan, 1, nan, nan, nan], [0, nan, 2, nan, nan, nan]])


def test_an_episode_that_has_ended_has_no_values():
    assert np.isnan(watch([True, False]).values[1]).all()


def test_time_and_calls_add_up():
    watched = watch([True, True])
    assert watched.num_decisions == 4
    assert watched.seconds > 0
    assert watched.cpu_seconds >= 0


def test_the_first_plans_stay():
    assert (watch([True, True]).first_plans == 0).all()


def test_moments_are_those_of_the_plans_of_filmed_environments():
    assert [(moment.env, moment.step) for moment in watch([True, True]).moments.spread(4)] == [(0, 0), (0, 2)]
