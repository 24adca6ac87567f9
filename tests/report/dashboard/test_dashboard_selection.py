import pytest

from diffplan.report.dashboard.dashboard_selection import DashboardSelection
from tests.report.conftest import stored

RUN = {"task": "maze2d-umaze-v1", "name": "quick", "ablation": "backbone.dim=8", "sweep": "width"}


@pytest.mark.parametrize(
    ("words", "admitted"),
    [
        ({}, True),
        ({"sweep": "width"}, True),
        ({"sweep": "wid*", "name": "quick"}, True),
        ({"sweep": "width", "name": "slow"}, False),
        ({"task": "hopper*"}, False),
        ({"group": "maze2d-umaze-v1/quick"}, True),
        ({"group": "maze2d-umaze-v1/quick/backbone.dim=8"}, True),
        ({"group": "maze2d-umaze-v1/qui"}, False),
        ({"group": "maze2d-umaze-v1/quick/backbone.dim=80"}, False),
    ],
)
def test_every_word_must_agree(words, admitted):
    assert DashboardSelection(**words).admits_run(RUN) is admitted


def test_results_are_known_by_their_record():
    assert DashboardSelection(sweep="width").admits(stored(sweep="width"))
    assert not DashboardSelection(sweep="width").admits(stored())
    assert DashboardSelection(group="maze2d-umaze-v1/diffuser/default").admits(stored())


def test_a_selection_names_itself():
    assert DashboardSelection(sweep="width", name="quick").text == "sweep width, name quick"
    assert DashboardSelection().text == "all runs"
