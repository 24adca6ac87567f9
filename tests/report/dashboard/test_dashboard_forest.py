import re

from diffplan.report.dashboard.dashboard_chart import ChartPoint
from diffplan.report.dashboard.dashboard_forest import DashboardForest


def forest(*means, **options):
    points = [ChartPoint(0.0, mean, (mean - 1, mean + 2), (mean,), f"<{mean}>") for mean in means]
    return DashboardForest("Score", points, **options).svg()


def test_each_cell_has_a_row_and_better_ones_lie_further_right():
    found = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="4.5"', forest(10.0, 30.0, 20.0))
    xs, ys = ([float(pair[index]) for pair in found] for index in (0, 1))
    assert xs[0] < xs[2] < xs[1]
    assert ys == sorted(ys)


def test_the_picture_grows_with_its_rows():
    heights = [float(re.search(r'viewBox="0 0 520 ([\d.]+)"', forest(*[1.0] * rows)).group(1)) for rows in (1, 5)]
    assert heights[1] - heights[0] == 4 * 44


def test_labels_are_shown_as_text():
    svg = forest(10.0, reference=(12.0, "<u>"))
    assert "&lt;10.0&gt;" in svg
    assert "<u>" not in svg
    assert forest() == ""
