import pytest

from diffplan.report import score_charts
from diffplan.report.ablation import Ablation
from diffplan.report.charts import chart_spec
from diffplan.report.score_charts import cost_chart, decision_costs, draw_ablation, score_chart
from tests.report.conftest import make_episodes, played, stored

SCHEDULERS = ("diffusers.DDPMScheduler", "diffusers.DDIMScheduler")


def ablation(values, key="guide.scale", seeds=(0, 1), gflop=lambda value: 1.0, **facts):
    results = [
        stored(
            seed=seed,
            settings={key: value},
            ablation=f"{key}={value}",
            protocols={"single_task": make_episodes([10.0 * seed, 50.0], gflop=gflop(value))},
            **facts,
        )
        for value in values
        for seed in seeds
    ]
    return Ablation.of(played(*results))


def grid():
    results = [
        stored(settings={"sampler.num_inference_steps": steps, "scheduler._target_": name}, ablation=f"{steps}{name}")
        for steps in (2, 5, 10)
        for name in SCHEDULERS
    ]
    return Ablation.of(played(*results))


def cells_of(chart):
    """One row a cell, as drawn."""
    (rows,) = (
        rows for rows in chart_spec(chart)["datasets"].values() if rows and "mean" in rows[0] and "score" not in rows[0]
    )
    return rows


def rings_of(chart):
    """One row a training seed, as drawn."""
    return [row for rows in chart_spec(chart)["datasets"].values() if rows and "score" in rows[0] for row in rows]


@pytest.mark.parametrize(("values", "scale"), [([1, 2, 4], "linear"), ([0.001, 0.01, 1.0], "log")])
def test_a_numeric_setting_lies_on_an_axis_with_a_tick_at_each_value(values, scale):
    x = chart_spec(score_chart(ablation(values)))["layer"][0]["encoding"]["x"]
    assert x["scale"]["type"] == scale
    assert x["axis"]["values"] == values
    assert x["title"].startswith("guide.scale")


def test_numbers_that_have_no_room_are_evenly_spaced():
    x = chart_spec(score_chart(ablation([0, 0.0001, 1.0])))["layer"][0]["encoding"]["x"]
    assert (x["type"], x["title"]) == ("ordinal", "guide.scale (evenly spaced)")


def test_every_cell_has_its_mean_and_interval_and_every_seed_its_ring():
    found = ablation([1, 2])
    rows = cells_of(score_chart(found))
    assert [row["value"] for row in rows] == [1, 2]
    statistics = found.cells[0].statistics
    assert (rows[0]["mean"], rows[0]["low"], rows[0]["high"]) == pytest.approx(
        (statistics.mean, *statistics.mean_interval), rel=1e-5
    )
    assert [(row["seed"], row["score"]) for row in rings_of(score_chart(found))] == [(0, 25), (1, 30)] * 2


def test_words_lie_row_by_row():
    chart = score_chart(ablation(["epsilon", "sample"], key="prediction_type"))
    assert [row["series"] for row in cells_of(chart)] == ["1  epsilon", "2  sample"]
    assert chart_spec(chart)["layer"][0]["encoding"]["y"]["field"] == "number"
    assert chart_spec(chart)["height"] == 2 * 46


def test_of_two_settings_the_other_one_makes_the_lines_which_keep_apart():
    chart = score_chart(grid())
    rows = cells_of(chart)
    assert {row["series"] for row in rows} == {"scheduler=DDIMScheduler", "scheduler=DDPMScheduler"}
    at_two = [row["x"] for row in rows if row["value"] == 2]
    assert len(set(at_two)) == 2
    assert chart_spec(chart)["layer"][0]["encoding"]["color"]["legend"] is not None


def test_the_paper_s_score_is_a_line():
    task = {"task.paper_scores": {"single_task": [113.9, 3.1]}}
    results = [stored(settings={"backbone.dim": dim, **task}, ablation=f"a={dim}") for dim in (8, 16)]
    spec = chart_spec(score_chart(Ablation.of(played(*results))))
    assert [layer["encoding"]["y"] for layer in spec["layer"] if layer["mark"]["type"] == "rule"] == [{"datum": 113.9}]


def test_score_lies_over_cost_if_costs_differ():
    found = ablation([2, 20], gflop=float)
    chart = cost_chart(found)
    assert [(row["cost"], row["mark"]) for row in cells_of(chart)] == [(2.0, "2"), (20.0, "20")]
    assert chart_spec(chart)["layer"][0]["encoding"]["x"]["title"] == "GFLOP for one environment step"
    assert cost_chart(ablation([2, 20])) is None


def test_processor_time_stands_in_for_operations_that_nobody_counted():
    found = ablation([2, 20], gflop=lambda _: None)
    assert decision_costs(found) == ([0.1, 0.1], "CPU seconds")
    assert cost_chart(found) is None


def test_a_picture_has_a_panel_for_cost_and_says_what_the_data_was(tmp_path, monkeypatch):
    specs = []
    monkeypatch.setattr(score_charts, "save_chart", lambda chart, path: specs.append(chart_spec(chart)))
    data = {"name": "x", "kind": "regenerated", "sha256": "bb", "num_transitions": 9}
    draw_ablation(ablation([2, 20], gflop=float, data=data), tmp_path / "a.png")
    draw_ablation(ablation([2, 20]), tmp_path / "b.png")
    assert [len(spec["hconcat"]) for spec in specs] == [2, 1]
    assert specs[0]["title"]["text"] == "maze2d-umaze-v1, single_task · regenerated data"
    assert "2 training seeds" in specs[0]["title"]["subtitle"]


def test_the_same_ablation_is_the_same_picture(tmp_path):
    for name in ("a.png", "b.png"):
        draw_ablation(grid(), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("found", [grid(), ablation(["a", "b"], key="prediction_type"), ablation([1, 2], gflop=float)])
def test_every_chart_is_valid_vega_lite(found):
    for chart in (score_chart(found), cost_chart(found)):
        if chart is not None:
            chart.to_dict(validate=True)
