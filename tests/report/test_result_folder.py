import os

import pytest

from diffplan.errors import ResultError
from diffplan.report.result_folder import read_results
from tests.report.conftest import make_result, write_result


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
