import warnings

import numpy as np
import pytest
from PIL import Image

from diffplan.env.plan_measures import ValueCalibration
from diffplan.method.critic import ReturnTarget
from diffplan.report.picture.calibration_picture import draw_calibration

BLUE, DARK, CUT, RED = (159, 184, 230), (18, 58, 124), (201, 204, 210), (214, 69, 65)


def drawn(path, values, returns, counted=True):
    values, returns = np.asarray(values, dtype=float), np.asarray(returns, dtype=float)
    counted = np.broadcast_to(counted, values.shape).copy()
    draw_calibration(ValueCalibration(values, returns, counted), ReturnTarget(0.997, -100.0), path)
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def places(picture, colour, tolerance=12):
    """Where a colour is, left of the colour bar and above the legend."""
    height, width = picture.shape[:2]
    near = (np.abs(picture - colour) <= tolerance).all(axis=-1)[: int(0.85 * height), : int(0.88 * width)]
    return np.argwhere(near)


def test_a_critic_that_hopes_too_much_lies_below_the_diagonal(tmp_path):
    returns = np.linspace(0, 100, 40)
    picture = drawn(tmp_path / "c.png", returns + 150.0, returns)
    cells, line = places(picture, BLUE), places(picture, RED)
    # Rows count downwards: at equal heights the cells lie right of the line.
    assert len(cells) > 500
    for row in np.unique(cells[:, 0]):
        on_line = line[line[:, 0] == row, 1]
        assert on_line.size == 0 or cells[cells[:, 0] == row, 1].min() > on_line.max()


def test_many_decisions_of_one_kind_are_darker(tmp_path):
    values = np.concatenate([np.full(500, 20.0), np.linspace(0, 100, 30)])
    picture = drawn(tmp_path / "c.png", values, values[::-1])
    assert 0 < len(places(picture, DARK, 3)) < len(places(picture, BLUE, 3))


def test_decisions_cut_off_by_the_time_limit_are_grey(tmp_path):
    values = np.linspace(0, 100, 60)
    cut = values > 60
    picture = drawn(tmp_path / "c.png", values, 100 - values, ~cut)
    grey, blue = places(picture, CUT, 6), places(picture, BLUE)
    # Ticks and axes are grey too, all of them left of the points.
    assert grey[:, 1].max() > blue[:, 1].max()


@pytest.mark.parametrize(
    ("values", "counted"), [([], True), ([3.0], True), ([3.0], False), ([3.0, 3.0, 3.0], True), ([1.0, 2.0], False)]
)
def test_few_decisions_or_none_that_count_are_drawn_without_complaint(tmp_path, values, counted):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert drawn(tmp_path / "c.png", values, values, counted).shape[0] > 300


def test_the_picture_is_the_only_thing_written(tmp_path):
    drawn(tmp_path / "media" / "c.png", [1.0, 2.0], [1.0, 2.0])
    assert [path.name for path in (tmp_path / "media").iterdir()] == ["c.png"]
