import pytest

from diffplan.errors import ResultError
from diffplan.report.table.paper_table import PaperTable
from diffplan.report.table.result_table import TableOptions, result_table
from diffplan.report.table.sheet import MISSING
from tests.report.conftest import make_result, stored

MAZES = ("maze2d-umaze-v1", "maze2d-medium-v1", "maze2d-large-v1")
WHOLE = [float(50 + number % 3) for number in range(100)]


def table(*results, number=1, metric="score", allow=(), seeds=1):
    options = TableOptions(metric, allow, seeds, lambda task: stored(task=task).settings)
    return result_table(PaperTable.read(number), results, options)


def texts(sheet, column):
    position = sheet.columns.index(column)
    return [row.cells[position].lines[0] for row in sheet.rows if row.cells]


def test_published_numbers_stand_as_published():
    sheet = table()
    assert texts(sheet, "CQL") == ["5.7", "5.0", "12.5", "7.7", MISSING, MISSING, MISSING, MISSING]
    assert texts(sheet, "Diffuser")[:4] == ["113.9 ± 3.1", "121.5 ± 2.7", "123.0 ± 6.4", "119.5"]


def test_sections_have_headings_and_averages():
    labels = [(row.label, row.kind) for row in table().rows]
    assert labels[0] == ("Maze2D", "heading")
    assert labels[4:6] == [("Single-task average", "average"), ("Multi2D", "heading")]
    assert {kind for _, kind in labels} == {"heading", "scores", "average"}
    assert [row.kind for row in table(number=2).rows] == ["scores"] * 9 + ["average"]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_without_results_our_column_is_blank(number):
    assert set(texts(table(number=number), "ours")) == {MISSING}


def test_a_cell_shows_mean_error_interquartile_mean_interval_and_what_it_rests_on():
    sheet = table(stored(scores=WHOLE))
    cell = sheet.rows[1].cells[-1]
    assert cell.lines == ["51.0 ± 0.1", "IQM 51.0 [50.7, 51.3]", "n = 1 x 100"]
    assert cell.marks == []


def test_protocols_are_never_mixed():
    sheet = table(stored(scores=WHOLE, protocols=["multi2d"]))
    assert texts(sheet, "ours: diffuser")[:4] == [MISSING] * 4
    assert texts(sheet, "ours: diffuser")[4] == "51.0 ± 0.1"


def test_only_whole_sections_are_averaged_and_averages_carry_the_marks():
    whole = [stored(scores=WHOLE, task=task, protocols=["single_task"]) for task in MAZES]
    assert texts(table(*whole), "ours: diffuser")[3] == "51.0"
    assert texts(table(*whole[:2]), "ours: diffuser")[3] == MISSING
    partial = table(*whole[:2], stored(task=MAZES[2], scores=WHOLE[:50], protocols=["single_task"]))
    assert partial.rows[4].cells[-1].marks == ["partial: 50 episodes of the paper's 100"]


def test_names_and_ablations_have_columns_of_their_own_the_default_first():
    results = [stored(name="mine"), stored(ablation="a=1"), stored(), stored(name="mine", ablation="b=2")]
    assert table(*results).columns[-4:] == [
        "ours: diffuser", "ours: diffuser (a=1)", "ours: mine", "ours: mine (b=2)",
    ]  # fmt: skip


def test_tasks_of_another_table_get_no_column():
    assert table(stored(task="hopper-medium-v2")).columns[-1] == "ours"
    assert table(stored(task="hopper-medium-v2", protocols=["single_task"]), number=2).columns[-1] == "ours: diffuser"


def test_what_is_not_comparable_is_not_averaged():
    with pytest.raises(ResultError, match="differ in settings"):
        table(stored(), stored(seed=1, settings={"backbone.dim": 8}))


def test_records_hold_every_cell_with_its_statistics_and_results():
    sheet = table(stored(scores=WHOLE, protocols=["single_task"], seed=3))
    assert len(sheet.records) == 6 * 5
    assert len({tuple(record) for record in sheet.records}) == 1
    (ours,) = (record for record in sheet.records if record["kind"] == "ours")
    assert (ours["num_seeds"], ours["num_episodes"], ours["protocol"]) == (1, 100, "single_task")
    assert ours["iqm_low"] < ours["iqm"] < ours["iqm_high"]
    assert ours["results"] == "outputs/diffuser/default/seed3/results.json"
    (diffuser,) = (
        r for r in sheet.records if (r["column"], r["task"], r["protocol"]) == ("Diffuser", MAZES[0], "multi2d")
    )
    assert (diffuser["kind"], diffuser["mean"], diffuser["stderr"]) == ("published", 128.9, 1.8)


def test_evaluations_that_are_not_counted_are_named_below():
    large = stored(make_result(scores=[50.0, 60.0, 70.0, 80.0, 90.0]), "large")
    assert "small repeats episodes of large and is not counted." in table(large, stored(source="small")).notes
