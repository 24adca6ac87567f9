import csv
import math

import pytest
from PIL import Image

from diffplan.report.charts import chart_spec
from diffplan.report.guidance_check import GuidanceCell, Verdict, guidance_table, judge
from diffplan.report.guidance_report import guidance_charts, guidance_markdown, write_guidance
from tests.report.conftest import Page

OWN = (0.1, 8)
PLAIN = [60.0, 70.0, 62.0, 68.0, 66.0, 64.0, 71.0, 65.0, 69.0, 66.0]


def cell(scale, candidates, scores, **facts) -> GuidanceCell:
    values = {"value_mean": 250.0, "return_mean": 200.0, "value_correlation": 0.06} if scale is not None else {}
    return GuidanceCell(**{
        "key": "", "protocol": "single_task", "scale": scale, "candidates": candidates,
        "seeds": list(range(len(scores))), "scores": scores, "lengths": [500] * len(scores),
        "terminated": [score < 60 for score in scores], "decision_gflop": 0.1 * candidates,
        "decision_cpu_seconds": 0.002 * candidates, "has_data": True, "drift": 0.2, "data_drift": 0.18,
        "value_mean": None, "return_mean": None, "value_correlation": None, **values, **facts,
    })  # fmt: skip


def shifted(amount: float, spread: float = 1.0) -> list[float]:
    return [score + amount + spread * (-1) ** index for index, score in enumerate(PLAIN)]


UNGUIDED = cell(None, 1, PLAIN)


def test_a_guide_that_raises_the_score_helps():
    found = judge([UNGUIDED, cell(*OWN, shifted(26))], OWN)
    assert found.verdict is Verdict.HELPS
    assert found.sentence == (
        "Guidance helps: 8 candidates at scale 0.1 score 92.1, no guide 66.1 (+26.0, 95 % interval 25.2 to 26.8)."
    )


def test_a_guide_that_lowers_the_score_harms():
    found = judge([UNGUIDED, cell(*OWN, shifted(-50)), cell(0.0, 8, shifted(-1))], OWN)
    assert found.verdict is Verdict.HARMS
    assert found.sentence.startswith("Guidance harms: 8 candidates at scale 0.1 score 16.1, no guide 66.1 (-50.0, ")
    assert found.sentence.endswith("; use guide=no_guide.")


def test_a_harmful_setting_beside_a_good_one_names_the_good_one():
    found = judge([UNGUIDED, cell(*OWN, shifted(-50)), cell(0.001, 1, shifted(20))], OWN)
    assert found.verdict is Verdict.HARMS
    assert "; guide.scale=0.001 planner.num_candidates=1 helps (+20.0, " in found.sentence


def test_episodes_that_differ_more_than_the_planners_cannot_tell():
    found = judge([UNGUIDED, cell(*OWN, shifted(4, spread=30))], OWN)
    assert found.verdict is Verdict.CANNOT_TELL
    assert found.sentence.startswith(
        "Ten episodes cannot tell guidance (8 candidates at scale 0.1: 70.1) from no guide (66.1): +4.0, 95 % interval"
    )


def test_one_episode_cannot_tell_whatever_it_scores():
    found = judge([cell(None, 1, [10.0]), cell(*OWN, [100.0])], OWN)
    assert found.verdict is Verdict.CANNOT_TELL
    assert found.sentence.endswith("+90.0, no interval.")


def test_equal_scores_cannot_tell():
    assert judge([UNGUIDED, cell(*OWN, PLAIN)], OWN).verdict is Verdict.CANNOT_TELL


def test_another_setting_than_the_planner_s_own_may_help():
    found = judge([UNGUIDED, cell(*OWN, shifted(0, spread=30)), cell(0.01, 8, shifted(20))], OWN)
    assert found.verdict is Verdict.HELPS
    assert found.sentence.startswith("Guidance helps with guide.scale=0.01 planner.num_candidates=8: 86.1, no guide")


def test_the_best_of_many_settings_needs_a_clearer_gain_than_a_single_one():
    """The gain lies between what one comparison and what forty need."""
    gain = shifted(4, spread=4.5)
    others = [cell(float(number), 1, shifted(-5)) for number in range(2, 41)]
    assert judge([UNGUIDED, cell(1.0, 1, gain)], (1.0, 1)).verdict is Verdict.HELPS
    assert judge([UNGUIDED, cell(1.0, 1, gain), *others], OWN).verdict is Verdict.CANNOT_TELL


def test_without_one_of_the_sides_nothing_is_said():
    assert judge([UNGUIDED], OWN).verdict is Verdict.CANNOT_TELL
    assert judge([cell(*OWN, PLAIN)], OWN).verdict is Verdict.CANNOT_TELL


CELLS = [UNGUIDED, cell(0.0, 8, shifted(-10)), cell(0.1, 1, shifted(-1)), cell(*OWN, shifted(-50))]


def test_the_table_compares_every_cell_with_no_guide_over_the_same_seeds():
    table = guidance_table(CELLS, OWN)
    assert math.isnan(table["gain"][0])
    assert table["gain"][3] == pytest.approx(-50)
    assert table["gain_high"][3] < table["gain"][3] + 1
    assert list(table["is_own"]) == [False, False, False, True]
    assert list(table["falls"]) == [0.0, 0.8, 0.0, 1.0]


def test_what_was_not_measured_has_no_column_and_a_reason():
    bare = [one.model_copy(update={"drift": None, "data_drift": None, "decision_gflop": None}) for one in CELLS]
    text = guidance_markdown(bare, ["scale1-candidates8, single_task: too large"], "There is no file x.hdf5.", OWN)
    assert "| drift" not in text
    assert "GFLOP" not in text
    assert "The drift from the data is left out: There is no file x.hdf5." in text
    assert "- scale1-candidates8, single" in text
    assert list(guidance_charts(bare, OWN)) == ["Score", "Episodes that ended in a fall"]


def test_a_line_a_number_of_candidates_stands_before_the_band_of_no_guide():
    charts = guidance_charts(CELLS, OWN)
    assert list(charts) == ["Score", "Drift from the data", "Episodes that ended in a fall"]
    for chart in charts.values():
        chart.to_dict(validate=True)
    rows = [row for data in chart_spec(charts["Score"])["datasets"].values() for row in data]
    assert {row["candidates"] for row in rows if "candidates" in row} == {"1", "8"}
    assert next(row["value"] for row in rows if row.get("label") == "no guide") == pytest.approx(66.1)


def test_the_check_is_markdown_csv_a_picture_and_a_page(tmp_path):
    files = write_guidance(CELLS, [], "", OWN, "hopper, quick, seed 0", tmp_path)
    text = files["markdown"].read_text()
    assert text.startswith("# Guidance of hopper, quick, seed 0")
    assert "**Guidance harms: " in text
    assert "Windows of held-back episodes have 0.18" in text
    assert len(list(csv.DictReader(files["csv"].read_text().splitlines()))) == len(CELLS)
    with Image.open(files["single_task"]) as image:
        assert image.height > image.width
    assert len(Page(files["page"]).charts) == 3
