from diffplan.planner.base import Planner


class SilentPlanner:
    def reset(self, observations, targets, seeds): ...

    def act(self, observations, active): ...

    def plans(self): ...


def test_a_planner_is_recognised_by_its_methods():
    assert isinstance(SilentPlanner(), Planner)
    assert not isinstance(object(), Planner)
