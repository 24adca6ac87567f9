import csv

import pytest
from PIL import Image

from diffplan.report.charts import chart_spec
from diffplan.report.scheduler_report import scheduler_charts, write_guide
from tests.report.conftest import Page
from tests.report.test_scheduler_guide import CELLS, FULL, guide_cell


def rows_of(chart):
    (rows,) = chart_spec(chart)["datasets"].values()
    return rows


def test_every_scheduler_has_its_line_over_steps_calls_and_time():
    charts = scheduler_charts(CELLS)
    assert list(charts) == [
        "Score by denoising steps", "Score by network calls a plan", "Score by CPU milliseconds a plan",
        "Share of plans through walls",
    ]  # fmt: skip
    rows = rows_of(charts["Score by denoising steps"])
    assert {row["scheduler"] for row in rows} == {"ddpm", "ddim"}
    full = next(row for row in rows if (row["scheduler"], row["steps"]) == ("ddpm", 8))
    assert (full["value"], round(full["high"] - full["value"], 3)) == (100.0, 3.536)


def test_a_value_far_from_all_others_stands_at_the_edge_with_its_number():
    cells = [guide_cell("ddim", steps, FULL) for steps in (1, 2, 4, 8)]
    rows = rows_of(scheduler_charts([*cells, guide_cell("ddpm", 2, [-900.0] * 4)])["Score by denoising steps"])
    (outside,) = (row for row in rows if row["outside"])
    assert outside["outside"] == "↓ -900"
    assert outside["y"] == 75.0


@pytest.mark.parametrize("quality", [{}, {"plan_value": 3.0}, {"through_walls": 0.1, "tracking_error": 0.2}])
def test_it_is_drawn_with_any_measures_of_quality(quality):
    charts = scheduler_charts([cell.model_copy(update={"quality": quality}) for cell in CELLS])
    assert len(charts) == 3 + len(quality)
    for chart in charts.values():
        chart.to_dict(validate=True)


def test_the_guide_is_markdown_csv_a_picture_and_a_page(tmp_path):
    files = write_guide(CELLS, ["lms in 2 steps: no"], "maze, quick, seed 0", "ddpm", tmp_path)
    assert files["markdown"].read_text().startswith("# Schedulers for maze, quick, seed 0")
    assert len(list(csv.DictReader(files["csv"].read_text().splitlines()))) == len(CELLS)
    with Image.open(files["single_task"]) as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 22)}
        assert image.width > image.height
    assert any(r < 100 and b > 180 for r, _, b in colours)
    assert any(r > 180 and b < 110 for r, _, b in colours)
    assert len(Page(files["page"]).charts) == 4
