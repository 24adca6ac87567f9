from itertools import pairwise

import pytest

from diffplan.report.dashboard.dashboard_axis import DashboardAxis


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0, 2, 4, 8], "linear"),
        ([8, 16, 32], "linear"),
        ([1, 4, 16, 64], "log"),
        ([0.0001, 0.001, 0.01], "log"),
        ([0, 0.0001, 0.001, 0.01], "even"),
        ([5], "linear"),
        (list(range(5, 55, 5)), "linear"),
    ],
)
def test_a_setting_is_spaced_so_that_its_labels_have_room(values, kind):
    axis = DashboardAxis.of_settings(values, 0.0, 500.0)
    places = [axis.pixel(value) for value in values]
    assert axis.kind == kind
    assert axis.ticks() == values
    assert all(after - before >= 25 for before, after in pairwise(places))


def test_every_quantity_and_tick_lies_inside():
    axis = DashboardAxis.of_quantity([12.0, 47.0, -3.0], 200.0, 10.0)
    assert all(10 <= axis.pixel(value) <= 200 for value in (12.0, 47.0, -3.0, *axis.ticks()))
    assert axis.pixel(47.0) < axis.pixel(-3.0)
    assert len(axis.ticks()) >= 3


def test_costs_that_span_decades_are_logarithmic_where_that_is_allowed():
    axis = DashboardAxis.of_quantity([0.1, 10.0], 0.0, 100.0, may_be_log=True)
    assert axis.ticks() == [0.1, 1.0, 10.0]
    assert axis.pixel(1.0) == pytest.approx(50.0)
    assert DashboardAxis.of_quantity([0.1, 10.0], 0.0, 100.0).kind == "linear"


@pytest.mark.parametrize("value", [0.0, -17.3, 113.9])
def test_one_value_has_an_axis(value):
    axis = DashboardAxis.of_quantity([value], 0.0, 100.0)
    assert 0 <= axis.pixel(value) <= 100
    assert axis.ticks()
