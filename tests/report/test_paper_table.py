import numpy as np
import pytest

from diffplan.errors import ResultError
from diffplan.report.paper_table import TABLES, PaperTable, TableOptions, result_table, score_marks
from diffplan.report.pooled_scores import PooledScores
from diffplan.report.results import episode_table
from diffplan.report.sheet import MISSING
from tests.report.conftest import VERSIONS, make_result, played, stored
from tests.task_facts import TASKS, task_facts

# As the paper prints them; they are computed here.
AVERAGES = {
    (1, "Single-task average"): {"MPPI": 16.2, "CQL": 7.7, "IQL": 47.0, "Diffuser": 119.5},
    (1, "Multi-task average"): {"MPPI": 21.5, "IQL": 16.9, "Diffuser": 129.4},
    (2, "Average"): {
        "BC": 51.9, "CQL": 77.6, "IQL": 77.0, "DT": 74.7, "TT": 78.9, "MOPO": 42.1, "MOReL": 72.9, "MBOP": 47.8,
        "Diffuser": 77.5,
    },
    (3, "Average"): {"BCQ": 0.0, "CQL": 8.1, "Diffuser": 54.4},
}  # fmt: skip


@pytest.mark.parametrize(("number", "average"), AVERAGES)
def test_the_rows_have_the_averages_that_the_paper_prints(number, average):
    (section,) = (section for section in PaperTable.read(number).sections if section.average == average)
    for method, printed in AVERAGES[number, average].items():
        # To the printed digit: MOReL's nine cells average to 72.97, which the paper prints as 72.9.
        assert np.mean([row.scores[method][0] for row in section.rows]) == pytest.approx(printed, abs=0.08), method


def test_the_diffuser_column_is_what_the_tasks_say():
    compared = 0
    for number in (1, 2):
        for row in PaperTable.read(number).rows:
            task = task_facts(row.task)
            assert tuple(task["paper_scores"][row.protocol]) == row.scores["Diffuser"]
            compared += 1
    assert compared == 15


def test_every_score_that_a_task_has_is_in_a_table():
    in_tables = {(row.task, row.protocol) for number in TABLES for row in PaperTable.read(number).rows}
    for task in map(task_facts, TASKS):
        assert {(task["name"], protocol) for protocol in task["paper_scores"] or {}} <= in_tables


@pytest.mark.parametrize("number", TABLES)
def test_every_score_belongs_to_a_column(number):
    paper = PaperTable.read(number)
    assert {method for row in paper.rows for method in row.scores} == set(paper.methods)
    assert paper.source


MAZES = ("maze2d-umaze-v1", "maze2d-medium-v1", "maze2d-large-v1")
WHOLE = [float(50 + number % 3) for number in range(100)]


def table(*results, number=1, metric="score", allow=(), seeds=1):
    options = TableOptions(metric, allow, seeds, lambda task: stored(task=task).settings)
    return result_table(PaperTable.read(number), episode_table(results), options)


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


DEFAULTS = stored().settings
TASK = "maze2d-umaze-v1"


def marks(*results, metric="score", num_episodes=4, num_seeds=1, allow=()):
    pool = PooledScores.of(played(*(results or [stored()])), metric, allow)
    return score_marks(pool, TASK, num_episodes, TableOptions(metric, allow, num_seeds, {TASK: DEFAULTS}.__getitem__))


def data(kind, name=TASK):
    return {"name": name, "kind": kind, "sha256": "bb", "num_transitions": 9}


def test_the_paper_s_experiment_has_no_mark():
    assert marks() == []


@pytest.mark.parametrize("kind", ["regenerated", "collected", "minari", "file"])
def test_data_that_is_not_d4rl_s_is_marked(kind):
    (mark,) = marks(stored(data=data(kind)))
    assert mark.endswith("no D4RL result")


def test_another_of_d4rl_s_data_sets_is_marked():
    assert marks(stored(data=data("d4rl", "maze2d-large-v1"))) == [
        "trained on maze2d-large-v1, which is another data set"
    ]


def test_another_environment_is_marked():
    environment = {"env_id": "hopper-exact-v2", "mujoco": "4.0.0"}
    assert marks(stored(environment=environment)) == ["played in hopper-exact-v2, which is another environment"]


def test_other_settings_are_named_beside_the_paper_s_the_steps_trained_first():
    changes = {"window.horizon": 16, "datamodule.horizon": 16, "trainer.max_steps": 5}
    assert marks(stored(settings=changes)) == [
        "not the paper's settings: trainer.max_steps 5 (paper: 100), window.horizon 16 (paper: 32)"
    ]
    many = {f"backbone.extra{number}": number for number in range(7)}
    assert marks(stored(settings=many))[0].endswith("backbone.extra3 3 (paper: none), 3 more")


def test_a_class_is_named_without_its_module():
    (mark,) = marks(stored(settings={"scheduler._target_": "diffusers.DDIMScheduler"}))
    assert mark == "not the paper's settings: scheduler DDIMScheduler (paper: DDPMScheduler)"


def test_where_data_comes_from_is_no_setting():
    assert marks(stored(settings={"source._target_": "diffplan.data.source.maze2d_source.Maze2DSource"})) == []


def test_latched_scores_are_marked():
    assert "unlike in the paper" in marks(metric="latched")[0]


def test_fewer_seeds_and_episodes_are_marked():
    assert marks(num_episodes=100, num_seeds=3) == [
        "partial: 1 training seed of 3",
        "partial: 4 episodes of the paper's 100",
    ]


def test_what_was_allowed_to_differ_is_marked():
    other = stored(seed=1, versions=VERSIONS | {"torch": "1.0"})
    assert marks(stored(), other, allow=["versions"]) == ["the averaged results differ in versions"]
