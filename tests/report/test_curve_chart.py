import math
import re
import xml.etree.ElementTree as ET

import pytest

from diffplan.report.curve import Curve
from diffplan.report.curve_chart import CurveChart


def lines_of(svg):
    return [
        [tuple(map(float, point.split(","))) for point in element.get("points").split()]
        for element in ET.fromstring(str(svg)).iter("polyline")
    ]


def texts_of(svg):
    return [element.text for element in ET.fromstring(str(svg)).iter("text")]


def test_a_rising_curve_runs_from_lower_left_to_upper_right():
    (line,) = lines_of(CurveChart("t", [Curve("a", [0, 100], [1.0, 2.0])]).svg())
    (x0, y0), (x1, y1) = line
    assert x0 < x1
    assert y0 > y1


def test_equal_ratios_are_equal_distances_on_a_log_scale():
    (line,) = lines_of(CurveChart("t", [Curve("a", [0, 1, 2], [1.0, 0.1, 0.01])], log_scale=True).svg())
    heights = [y for _, y in line]
    assert heights[1] - heights[0] == pytest.approx(heights[2] - heights[1], abs=0.2)  # coordinates have one decimal


def test_values_that_have_no_logarithm_are_left_out():
    (line,) = lines_of(CurveChart("t", [Curve("a", [0, 1, 2, 3], [1.0, 0.0, -1.0, 0.5])], log_scale=True).svg())
    assert len(line) == 2


def test_a_chart_without_values_is_empty():
    assert CurveChart("t", [Curve("a", [0, 1], [math.nan, math.inf])]).svg() == ""


@pytest.mark.parametrize("log_scale", [False, True])
@pytest.mark.parametrize("values", [[2.0, 2.0], [1e-9, 1e9], [5.0], [0.21, 0.22]])
def test_every_drawn_number_is_finite_and_inside_the_picture(values, log_scale):
    svg = str(CurveChart("t", [Curve("a", range(len(values)), values)], log_scale=log_scale).svg())
    assert "nan" not in svg
    assert "inf" not in svg
    for line in lines_of(svg):
        assert all(0 <= x <= 520 and 0 <= y <= 250 for x, y in line)


def test_the_reference_and_the_band_lie_inside_the_value_range():
    curve = Curve("score", [1, 2], [50.0, 60.0], spreads=[5.0, 100.0])
    svg = CurveChart("t", [curve], reference=(500.0, "paper 500.0")).svg()
    numbers = [float(n) for n in re.findall(r'(?:y1|cy)="([-\d.]+)"', str(svg))]
    band = ET.fromstring(str(svg)).find("polygon").get("points").split()
    numbers += [float(point.split(",")[1]) for point in band]
    assert all(0 <= number <= 230 for number in numbers)
    assert "paper 500.0" in texts_of(svg)


def test_a_long_curve_keeps_its_extremes_and_few_points():
    values = [0.0] * 20_000
    values[7777] = 9.0
    values[12_345] = -9.0
    (line,) = lines_of(CurveChart("t", [Curve("a", range(20_000), values)]).svg())
    assert len(line) <= 500
    heights = [y for _, y in line]
    middle = sorted(heights)[len(heights) // 2]
    assert middle - min(heights) > 80
    assert max(heights) - middle > 80


def test_a_smoothed_curve_is_drawn_over_the_raw_one():
    values = [1.0, 3.0] * 200
    raw, smoothed = lines_of(CurveChart("t", [Curve("a", range(400), values, smooth=True)]).svg())
    spread = [max(y for _, y in line[-50:]) - min(y for _, y in line[-50:]) for line in (raw, smoothed)]
    assert spread[1] < 0.3 * spread[0]


def test_labels_are_shown_as_text():
    svg = CurveChart("<script>", [Curve('"><b>', [1, 2], [1.0, 2.0])], reference=(1.5, "<i>")).svg()
    ET.fromstring(str(svg))
    assert "<script>" not in svg
    assert "<i>" in texts_of(svg)
