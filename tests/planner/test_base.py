import inspect

import pytest

import diffplan.planner as folder
from diffplan.planner.base import AbstractPlanner, Planner

CONCRETE = [
    cls
    for name, cls in inspect.getmembers(folder, inspect.isclass)
    if name.endswith("Planner") and name != "AbstractPlanner"
]


@pytest.mark.parametrize("cls", CONCRETE)
def test_every_exported_planner_can_be_rolled_out(cls):
    assert issubclass(cls, AbstractPlanner)
    assert not inspect.isabstract(cls)


def test_the_interface_is_what_the_episode_loop_asks_for():
    asked = [name for name, _ in inspect.getmembers(Planner, inspect.isfunction) if not name.startswith("_")]
    for name in asked:
        wanted = list(inspect.signature(getattr(Planner, name)).parameters)
        assert list(inspect.signature(getattr(AbstractPlanner, name)).parameters) == wanted
    assert asked == ["act", "plans", "reset"]
