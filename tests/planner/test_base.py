import inspect

import numpy as np
import pytest

import diffplan.planner as folder
from diffplan.planner.base import AbstractPlanner

CONCRETE = [
    cls
    for name, cls in inspect.getmembers(folder, inspect.isclass)
    if name.endswith("Planner") and name != "AbstractPlanner"
]


class SilentPlanner(AbstractPlanner):
    def reset(self, observations, targets, seeds):
        return None

    def act(self, observations, active):
        return np.zeros((len(observations), 1))


@pytest.mark.parametrize("cls", CONCRETE)
def test_every_exported_planner_can_be_rolled_out(cls):
    assert issubclass(cls, AbstractPlanner)
    assert not inspect.isabstract(cls)


def test_a_planner_needs_to_reset_and_to_act_and_nothing_more():
    assert AbstractPlanner.__abstractmethods__ == {"reset", "act"}
    silent = SilentPlanner()
    assert (silent.plans(), silent.values(), silent.value_target, silent.cost()) == (None, None, None, None)
    assert silent.stride == 1
