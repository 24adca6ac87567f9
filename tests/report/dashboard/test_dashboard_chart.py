import re

from diffplan.report.dashboard.dashboard_chart import ChartPoint, DashboardChart, colour_of


def point(x, y, **options):
    return ChartPoint(x=float(x), y=y, interval=(y - 5, y + 5), dots=(y - 1, y + 2), label=f"dim={x}: {y}", **options)


def chart(*points, **options):
    return DashboardChart("Score", "dim", points, **{"is_setting": True} | options).svg()


def circles(svg, radius):
    return [(float(x), float(y)) for x, y in re.findall(rf'<circle cx="([\d.]+)" cy="([\d.]+)" r="{radius}"', svg)]


def test_higher_scores_lie_higher_and_larger_values_further_right():
    (x1, y1), (x2, y2) = circles(chart(point(8, 10.0), point(16, 40.0)), "4.5")
    assert x1 < x2
    assert y1 > y2


def test_every_seed_has_its_ring_and_every_point_its_interval():
    svg = chart(point(8, 10.0), point(16, 40.0))
    assert len(circles(svg, "2.2")) == 4
    assert len(re.findall(r'y1="([\d.]+)" y2="(?!\1)', svg)) == 2


def test_settings_are_joined_and_costs_are_not():
    joined, loose = (chart(point(8, 10.0), point(16, 40.0), is_setting=joins) for joins in (True, False))
    assert 'opacity="0.55"' in joined
    assert 'opacity="0.55"' not in loose


def test_lines_keep_apart_and_have_their_colours():
    svg = chart(point(8, 10.0, series=1), point(8, 10.0, series=2))
    (x1, _), (x2, _) = circles(svg, "4.5")
    assert abs(x1 - x2) >= 9
    assert "var(--series-2)" in svg
    assert colour_of(9) == colour_of(1)


def test_labels_are_shown_as_text_and_read_out():
    svg = chart(ChartPoint(1.0, 2.0, (1.0, 3.0), (), "<b>&", mark="<i>"), reference=(5.0, "<u>"))
    assert not re.search("<[biu]>", svg)
    assert 'aria-label="Score: &lt;b&gt;&amp;"' in svg


def test_no_point_is_no_chart():
    assert chart() == ""
