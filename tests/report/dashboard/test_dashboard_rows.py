import pytest

from diffplan.report.dashboard.dashboard_board import read_boards
from diffplan.report.dashboard.dashboard_content import DashboardContent
from diffplan.report.dashboard.dashboard_rows import board_rows, run_rows
from diffplan.report.dashboard.dashboard_selection import DashboardSelection
from diffplan.report.result_folder import ResultFolder
from tests.report.conftest import make_episodes, stored


def width(dim, *scores):
    ablation = "default" if dim == 32 else f"backbone.dim={dim}"
    protocols = {"single_task": make_episodes(scores)}
    return stored(settings={"backbone.dim": dim}, ablation=ablation, protocols=protocols)


def test_a_row_holds_statistics_and_the_comparison_with_the_baseline():
    (board,) = read_boards([width(8, 1.0, 3.0), width(32, 5.0, 6.0)])
    worse, baseline = board_rows(board)
    texts = {name: text for name, (_, text) in worse.entries.items()}
    assert worse.values == ["8"]
    assert texts["mean ± s.e."] == "2.0 ± 0.7"
    assert texts["n"] == "1 x 2"
    assert texts["difference [95 %]"].startswith("-3.5 [")
    assert texts["P(better) [95 %]"].startswith("0.00 [")
    assert texts["GFLOP / decision"] == "1"
    assert baseline.entries["difference [95 %]"] == (None, "baseline")


def test_without_a_baseline_nothing_is_compared():
    (board,) = read_boards([width(8, 1.0, 3.0), width(16, 5.0, 6.0)])
    assert "P(better) [95 %]" not in board_rows(board)[0].entries


def test_every_run_and_protocol_has_a_row_with_its_own_page():
    run = stored(seed=4, scores=(10.0, 20.0), cost={"train_seconds": 9.0, "train_cpu_seconds": 7.0})
    content = DashboardContent.of(ResultFolder([run], []), DashboardSelection())
    rows = run_rows(content, lambda source: f"page of {source}")
    assert [row["protocol"] for row in rows] == ["single_task", "multi2d"]
    assert rows[0]["mean"] == pytest.approx(15.0)
    assert (rows[0]["seed"], rows[0]["cost"], rows[0]["link"]) == (4, 7.0, f"page of {run.source}")
