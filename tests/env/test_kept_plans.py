import numpy as np

from diffplan.env.kept_plans import KeptPlans
from diffplan.planner.base import AbstractPlanner


class Told(AbstractPlanner):
    """Plans what a test says."""

    now = None

    def reset(self, observations, targets, seeds):
        return None

    def act(self, observations, active):
        return np.zeros((len(observations), 1))

    def plans(self):
        return self.now


def plans(*values: float) -> np.ndarray:
    return np.array(values)[:, None, None] * np.ones((1, 2, 1))


def test_plans_of_every_so_many_steps_are_kept_and_those_that_stay_only_once():
    planner = Told()
    kept = KeptPlans(planner, interval=2)
    # The second episode has ended after the first plan; what is planned at odd steps is not looked at.
    for values in ((1.0, 2.0), (9.0, 9.0), (3.0, 2.0), (9.0, 9.0), (4.0, 2.0)):
        planner.now = plans(*values)
        kept()
    assert kept.spread(10)[:, 0, 0].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert kept.spread(2)[:, 0, 0].tolist() == [1.0, 4.0]


def test_a_planner_that_plans_nothing_leaves_nothing():
    kept = KeptPlans(Told())
    kept()
    assert kept.spread(3) is None
