from diffplan.report.dashboard.dashboard_board import read_boards
from tests.report.conftest import VERSIONS, make_episodes, stored


def width(dim, *scores, seed=0, **facts):
    ablation = "default" if dim == 32 else f"backbone.dim={dim}"
    protocols = {"single_task": make_episodes(scores or [1.0, 2.0])}
    return stored(seed=seed, settings={"backbone.dim": dim}, ablation=ablation, protocols=protocols, **facts)


def test_cells_are_numbered_in_the_order_of_their_values_and_average_over_seeds():
    (board,) = read_boards([width(128, 5.0, 7.0), width(8, 1.0, 3.0), width(8, 3.0, 5.0, seed=1), width(32)])
    assert [(cell.number, cell.label) for cell in board.cells] == [
        (1, "backbone.dim=8"), (2, "backbone.dim=32"), (3, "backbone.dim=128"),
    ]  # fmt: skip
    assert board.cells[0].found.statistics.mean == 3.0
    assert board.cells[0].found.statistics.num_seeds == 2
    assert [cell.found.is_baseline for cell in board.cells] == [False, True, False]
    assert board.not_compared == ""


def test_tasks_and_protocols_have_boards_of_their_own_the_single_task_first():
    boards = read_boards([stored(task="maze2d-large-v1"), stored(task="maze2d-umaze-v1")])
    assert [board.title for board in boards] == [
        "maze2d-large-v1, Single task", "maze2d-large-v1, Multi2D",
        "maze2d-umaze-v1, Single task", "maze2d-umaze-v1, Multi2D",
    ]  # fmt: skip


def test_a_cell_that_cannot_be_averaged_is_named_and_hides_no_other():
    other = VERSIONS | {"torch": "2.9.0"}
    (board,) = read_boards([width(8), width(8, seed=1, versions=other), width(16), width(16, seed=1)])
    assert [cell.label for cell in board.cells] == ["backbone.dim=16"]
    ((label, reason),) = board.problems
    assert label == "backbone.dim=8"
    assert "differ in versions" in reason


def test_versions_that_may_differ_are_averaged_and_the_cell_says_so():
    other = VERSIONS | {"torch": "2.9.0"}
    (board,) = read_boards([width(8), width(8, seed=1, versions=other), width(16)], allow=["versions"])
    assert board.problems == []
    assert board.cells[0].found.pool.allowed == ["versions"]


def test_more_than_two_settings_are_shown_without_a_baseline():
    results = [
        stored(settings={"backbone.dim": dim, "window.horizon": horizon, "loss.discount": discount},
               ablation=f"backbone.dim={dim},window.horizon={horizon},loss.discount={discount}",
               protocols=["single_task"])
        for dim in (8, 16) for horizon in (4, 8) for discount in (0.5, 1.0)
    ]  # fmt: skip
    (board,) = read_boards(results)
    assert len(board.cells) == 8
    assert board.settings == ["window.horizon", "backbone.dim", "loss.discount"]
    assert board.not_compared == "3 settings vary"
    assert not board.has_baseline


def test_runs_of_one_setting_are_one_cell_named_after_the_run():
    (board,) = read_boards([width(8), width(8, seed=1)])
    assert [cell.label for cell in board.cells] == ["diffuser"]
    assert board.settings == []
