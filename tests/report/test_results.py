import json
import os
import subprocess
import sys

import pytest

import diffplan
from diffplan.errors import ResultError
from diffplan.report.results import RunSelection, episode_table, read_results
from tests.report.conftest import make_result, stored, write_result


def test_results_are_found_at_any_depth_in_the_order_of_their_places(tmp_path):
    late = write_result(make_result(seed=1), tmp_path / "task" / "run" / "plans" / "default")
    early = write_result(make_result(seed=0), tmp_path / "a" / "run")
    assert [stored.source for stored in read_results(tmp_path).results] == [str(early), str(late)]


def test_evaluations_during_training_are_left_out_unless_wanted(tmp_path):
    write_result(make_result(final=False), tmp_path / "evaluation", "results-step20.json")
    write_result(make_result(), tmp_path)
    assert [stored.result.final for stored in read_results(tmp_path).results] == [True]
    assert sorted(stored.result.final for stored in read_results(tmp_path, final_only=False).results) == [False, True]


def test_folders_of_other_programs_are_not_searched(tmp_path):
    for name in ("wandb", ".hydra"):
        write_result(make_result(), tmp_path / name)
    found = read_results(tmp_path)
    assert (found.results, found.skipped) == ([], [])


def test_what_cannot_be_read_is_named_and_the_rest_is_read(tmp_path):
    good = write_result(make_result(), tmp_path / "good")
    text = good.read_text()
    for folder, content in {
        "half": text[: len(text) // 2],
        "empty": "",
        "foreign": '{"accuracy": 0.9}',
        "list": "[1, 2]",
        "future": text.replace('"schema_version": 1', '"schema_version": 2'),
        "binary": b"\xff\xfe\x00",
    }.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "results.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    (tmp_path / "folder" / "results.json").mkdir(parents=True)
    (tmp_path / "dangling").mkdir()
    (tmp_path / "dangling" / "results.json").symlink_to("nowhere")
    found = read_results(tmp_path)
    assert [stored.source for stored in found.results] == [str(good)]
    reasons = {os.path.basename(os.path.dirname(source)): reason for source, reason in found.skipped}
    assert set(reasons) == {"half", "empty", "foreign", "list", "future", "binary", "dangling"}
    assert "schema version 2" in reasons["future"]
    assert "not a result" in reasons["foreign"]
    assert "cannot be read: No such file" in reasons["dangling"]


def test_a_single_file_is_read(tmp_path):
    path = write_result(make_result(seed=4), tmp_path)
    assert [stored.result.seed for stored in read_results(path).results] == [4]


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(ResultError, match=r"results cannot be read from .*nowhere: No such file or directory\."):
        read_results(tmp_path / "nowhere")


def test_settings_are_equal_for_training_seeds_and_tell_the_steps_trained():
    one, two = stored(seed=0).settings, stored(seed=1).settings
    assert one == two
    assert one["step"] == 100
    assert stored(settings={"backbone.dim": 8}).settings != one
    assert stored(make_result(step=50)).settings != one


@pytest.mark.parametrize(
    ("trained", "planned", "expected"),
    [
        ("default", "default", "default"),
        ("backbone.dim=8", "backbone.dim=8", "backbone.dim=8"),
        ("backbone.dim=8", "default", "backbone.dim=8"),
        ("default", "num_episodes=150,num_videos=0", "default"),
        ("backbone.dim=8", "guide.scale=0.1,num_episodes=10", "backbone.dim=8,guide.scale=0.1"),
        ("default", "protocols=-single_task,multi2d-,scheduler=ddim", "scheduler=ddim"),
        ("default", "env_id=hopper-exact-v2", "env_id=hopper-exact-v2"),
    ],
)
def test_what_training_and_planning_changed_is_said_once(trained, planned, expected):
    result = make_result(ablation=trained).model_copy(update={"ablation": planned})
    assert stored(result).ablation == expected


RUN = {"task": "maze2d-umaze-v1", "name": "quick", "ablation": "backbone.dim=8", "sweep": "width"}


@pytest.mark.parametrize(
    ("words", "admitted"),
    [
        ({}, True),
        ({"sweep": "width"}, True),
        ({"sweep": "wid*", "name": "quick"}, True),
        ({"sweep": "width", "name": "slow"}, False),
        ({"task": "hopper*"}, False),
        ({"group": "maze2d-umaze-v1/quick"}, True),
        ({"group": "maze2d-umaze-v1/quick/backbone.dim=8"}, True),
        ({"group": "maze2d-umaze-v1/qui"}, False),
        ({"group": "maze2d-umaze-v1/quick/backbone.dim=80"}, False),
    ],
)
def test_every_word_must_agree(words, admitted):
    assert RunSelection(**words).admits_run(RUN) is admitted


def test_results_are_known_by_their_record():
    assert RunSelection(sweep="width").admits(stored(sweep="width"))
    assert not RunSelection(sweep="width").admits(stored())
    assert RunSelection(group="maze2d-umaze-v1/diffuser/default").admits(stored())


def test_a_selection_names_itself():
    assert RunSelection(sweep="width", name="quick").text == "sweep width, name quick"
    assert RunSelection().text == "all runs"


def test_the_table_has_a_row_an_episode_and_a_column_for_every_setting_that_varies():
    table = episode_table([stored(scores=(1.0, 2.0)), stored(seed=1, scores=(3.0, 4.0), settings={"backbone.dim": 8})])
    assert len(table) == 2 * 2 * 2
    assert list(table["backbone.dim"].unique()) == [32, 8]
    assert "window.horizon" not in table
    means = table.groupby(["protocol", "seed"])["score"].mean()
    assert means.to_dict() == {
        ("single_task", 0): 1.5,
        ("multi2d", 0): 1.5,
        ("single_task", 1): 3.5,
        ("multi2d", 1): 3.5,
    }
    assert table["latched_score"].tolist() == [score + 10 for score in table["score"]]
    assert [str(table[name].dtype) for name in ("seed", "episode", "length", "score")] == ["int64"] * 3 + ["float64"]


def test_a_table_of_nothing_has_its_columns():
    assert {"task", "protocol", "episode", "score", "result"} <= set(episode_table([]).columns)


def test_settings_that_are_lists_are_kept_as_text():
    table = episode_table([stored(), stored(seed=1, settings={"backbone.dim_multipliers": [1, 2]})])
    assert table.groupby("backbone.dim_multipliers").size().to_dict() == {"[1, 2]": 8}


def test_results_are_read_as_one_table_and_what_cannot_be_read_is_logged(tmp_path, caplog):
    write_result(make_result(), tmp_path / "a")
    (tmp_path / "results.json").write_text("{")
    table = diffplan.results(tmp_path)
    assert table["source"].unique().tolist() == [str(tmp_path / "a" / "results.json")]
    assert "skipped" in caplog.text


def test_importing_the_package_loads_and_prints_nothing():
    slow = "('numpy', 'pandas', 'altair', 'torch', 'hydra', 'wandb')"
    code = f"import sys, diffplan; print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("scores", "NaN", "a return or score of single_task is not finite"),
        ("returns", "Infinity", "a return or score of single_task is not finite"),
        ("seeds", str(2**64), "a seed or length of single_task is no number of an episode"),
    ],
)
def test_a_number_that_cannot_be_averaged_is_skipped_with_its_file(column, value, reason, tmp_path):
    path = write_result(make_result(), tmp_path)
    record = json.loads(path.read_text())
    record["protocols"]["single_task"][column][0] = "@"
    path.write_text(json.dumps(record).replace('"@"', value))
    found = read_results(tmp_path)
    assert (found.results, found.skipped) == ([], [(str(path), reason)])


def test_a_pipe_in_place_of_a_result_is_skipped_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "results.json")
    assert read_results(tmp_path).skipped == [(str(tmp_path / "results.json"), "is no ordinary file")]
