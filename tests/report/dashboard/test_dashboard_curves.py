import math
from pathlib import Path

import pytest

from diffplan.report.dashboard.dashboard_curves import seed_curve
from diffplan.report.run_record import RunRecord


def records(*seeds):
    return [RunRecord(Path(), {}, {s: {"k": v} for s, v in points.items()}, {}, []) for points in seeds]


def test_a_curve_is_the_mean_over_seeds_and_its_band_their_standard_error():
    curve = seed_curve(records({1: 1.0, 2: 4.0}, {1: 3.0, 2: 4.0}), "k", "cell")
    assert curve.steps == [1, 2]
    assert curve.values == [2.0, 4.0]
    assert curve.spreads == pytest.approx([math.sqrt(2) / math.sqrt(2), 0.0])


def test_only_steps_that_every_seed_has_count():
    curve = seed_curve(records({1: 1.0, 2: 2.0, 3: 3.0, 4: math.nan}, {2: 2.0, 3: 5.0, 4: 1.0}), "k", "cell")
    assert curve.steps == [2, 3]


def test_one_seed_has_no_band_and_one_step_is_no_curve():
    assert seed_curve(records({1: 1.0, 2: 2.0}), "k", "cell").spreads is None
    assert seed_curve(records({1: 1.0}), "k", "cell") is None
    assert seed_curve(records({1: 1.0, 2: 2.0}), "other", "cell") is None
    assert seed_curve([], "k", "cell") is None
