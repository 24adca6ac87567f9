from diffplan.report.ablation import Ablation
from diffplan.report.ablation_sheet import ablation_sheet
from diffplan.report.sheet import MISSING, sheet_csv
from tests.report.conftest import make_episodes, played, stored


def sheet(*results, **options):
    return ablation_sheet(Ablation.of(played(*results), **options))


def steps(number, score, gflop=1.0, **facts):
    protocols = {"single_task": make_episodes([score, score + 2], gflop=gflop)}
    ablation = "default" if number is None else f"sampler.num_inference_steps={number}"
    return stored(settings={"sampler.num_inference_steps": number}, ablation=ablation, protocols=protocols, **facts)


def test_a_value_has_its_score_cost_and_comparison_with_the_baseline():
    found = sheet(steps(None, 50.0, gflop=20.0), steps(2, 40.0, gflop=0.155))
    assert [row.label for row in found.rows] == ["none (baseline)", "2"]
    assert [cell.lines[0] for cell in found.rows[1].cells] == [
        "41.0 ± 0.7", "41.0 [40.0, 42.0]", "41.0 [40.0, 42.0]", "1 x 2", "0.155", "0.1", "-10.0 [-10.0, -10.0]",
        "0.00 [0.00, 0.00]",
    ]  # fmt: skip
    assert [cell.lines[0] for cell in found.rows[0].cells][-2:] == [MISSING, MISSING]


def test_without_a_baseline_the_reader_is_told_how_to_name_one():
    found = sheet(steps(4, 50.0), steps(2, 40.0))
    assert found.columns[-1] == "CPU s/step"
    assert any("--baseline <value>" in note for note in found.notes)


def test_operations_that_nobody_counted_have_no_column():
    assert "GFLOP/step" not in sheet(steps(4, 50.0, gflop=None), steps(2, 40.0, gflop=None)).columns


def test_other_data_and_another_environment_are_marked():
    data = {"name": "x", "kind": "collected", "sha256": "bb", "num_transitions": 9}
    facts = {"data": data, "environment": {"env_id": "hopper-exact-v2"}}
    found = sheet(steps(4, 50.0, **facts), steps(2, 40.0, **facts))
    assert list(found.letters) == [
        "trained on collected data: no D4RL result",
        "played in hopper-exact-v2, which is another environment",
    ]


def test_what_changes_with_a_setting_is_told():
    other = stored(settings={"backbone.dim": 8, "planner.num_candidates": 1}, ablation="a=1")
    assert any("backbone.dim in these results: planner.num_candidates" in note for note in sheet(stored(), other).notes)


def test_csv_has_one_line_a_value():
    lines = sheet_csv(sheet(steps(None, 50.0), steps(2, 40.0))).splitlines()
    assert len(lines) == 3
    assert "sampler.num_inference_steps" in lines[0].split(",")
    assert "difference_low" in lines[0].split(",")
    assert all(line.count(",") == lines[0].count(",") for line in lines)
