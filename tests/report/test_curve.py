import math

import pytest

from diffplan.report.curve import Curve, running_mean


def test_points_without_a_value_are_left_out():
    assert Curve("a", [1, 2, 3], [0.5, math.nan, 2.0]).finite() == [(1, 0.5), (3, 2.0)]


def test_a_constant_stays_constant_from_the_first_value_on():
    assert running_mean([3.0] * 20, window=7) == pytest.approx([3.0] * 20)


def test_a_window_of_one_changes_nothing():
    assert running_mean([1.0, 5.0, 2.0], window=1) == [1.0, 5.0, 2.0]


def test_older_values_count_less():
    # Weights 1/2, 1/4 of the two values, divided by their sum 3/4.
    assert running_mean([0.0, 3.0], window=2)[1] == pytest.approx(2.0)
