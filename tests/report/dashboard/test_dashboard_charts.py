import pytest

from diffplan.report.dashboard.dashboard_board import read_boards
from diffplan.report.dashboard.dashboard_charts import cost_figure, learning_figures, score_figure
from diffplan.report.run_record import RunRecord
from tests.report.conftest import make_episodes, stored


def board(cells, costs=None):
    results = []
    for number, settings in enumerate(cells):
        gflop = None if costs is None else costs[number]
        text = ",".join(f"{key.removesuffix('._target_')}={value}" for key, value in settings.items())
        protocols = {"single_task": make_episodes([1.0, 2.0], gflop=gflop, cpu=0.1)}
        results.append(stored(settings=settings, ablation=text, protocols=protocols))
    (found,) = read_boards(results)
    return found


def record(tmp_path, **series):
    metrics = {}
    for key, points in series.items():
        for step, value in points.items():
            metrics.setdefault(step, {})[key.replace("__", "/")] = value
    return RunRecord(tmp_path, {}, metrics, {}, [])


def test_a_numeric_setting_lies_on_an_axis():
    figure = score_figure(board([{"backbone.dim": dim} for dim in (8, 16, 32)]))
    assert figure.title == "Score against backbone.dim"
    assert figure.svg.count('r="4.5"') == 3
    assert ">backbone.dim</text>" in figure.svg
    assert figure.legend == []


def test_of_two_settings_the_other_one_makes_the_lines():
    cells = [{"scheduler._target_": f"diffusers.{name}", "sampler.num_inference_steps": steps}
             for name in ("DDPMScheduler", "DDIMScheduler") for steps in (2, 4, 8)]  # fmt: skip
    figure = score_figure(board(cells))
    assert ">sampler.num_inference_steps</text>" in figure.svg
    assert figure.legend == [(1, "scheduler=DDIMScheduler"), (2, "scheduler=DDPMScheduler")]


def test_words_lie_row_by_row():
    figure = score_figure(board([{"scheduler._target_": f"diffusers.{name}"} for name in ("A", "B")]))
    assert "1  A" in figure.svg
    assert "2  B" in figure.svg


def test_a_long_name_is_cut():
    figure = score_figure(board([{"scheduler._target_": "d." + "A" * 80}, {"scheduler._target_": "d.B"}]))
    assert "A…</text>" in figure.svg
    assert "A" * 47 not in figure.svg.replace("=" + "A" * 80, "")


def test_costs_are_drawn_where_they_differ_and_named_where_they_do_not():
    cells = [{"backbone.dim": dim} for dim in (8, 16)]
    assert "GFLOP for one environment step" in cost_figure(board(cells, [1.0, 4.0])).svg
    same = cost_figure(board(cells, [1.5, 1.5]))
    assert same.svg == ""
    assert same.note == "A decision costs the same in every cell: 1.5 GFLOP."
    assert "0.1 CPU seconds" in cost_figure(board(cells)).note


def test_each_cell_has_its_learning_curve_and_charts_hold_eight(tmp_path):
    found = board([{"backbone.dim": dim} for dim in range(1, 11)])
    runs = {cell.number: [record(tmp_path, train__loss={1: 2.0, 2: 1.0})] for cell in found.cells}
    first, second = learning_figures(found, runs, "loss")
    assert [number for number, _ in first.legend] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [label for _, label in second.legend] == ["9 backbone.dim=9", "10 backbone.dim=10"]
    assert first.title.endswith("cells 1 to 8")


@pytest.mark.parametrize(("key", "reason"), [("score", "evaluated once"), ("loss", "trained by other runs")])
def test_a_missing_curve_says_why(tmp_path, key, reason):
    found = board([{"backbone.dim": dim} for dim in (8, 16)])
    (figure,) = learning_figures(found, {1: [record(tmp_path)], 2: [record(tmp_path)]}, key)
    assert figure.svg == ""
    assert reason in figure.note
