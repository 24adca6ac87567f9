import json
import math

import pytest

from diffplan.report.run_record import JsonLines, RunRecord, merge_metrics, read_table


def test_later_values_of_a_step_win_key_by_key():
    rows = merge_metrics([{"step": 1, "a": 1.0, "b": 2.0}, {"step": 2, "a": 3.0}, {"step": 1, "a": 5.0, "time": 9.0}])
    assert rows == {1: {"a": 5.0, "b": 2.0}, 2: {"a": 3.0}}


def test_no_value_reads_as_nan_and_text_is_left_out():
    (row,) = merge_metrics([{"step": 1, "a": None, "b": "text"}]).values()
    assert math.isnan(row["a"])
    assert set(row) == {"a"}


def test_lines_without_a_step_are_left_out():
    assert merge_metrics([{"a": 1.0}, {"step": "x", "a": 1.0}]) == {}


def test_an_empty_folder_is_an_empty_run(tmp_path):
    record = RunRecord.read(tmp_path)
    assert (record.metrics, record.files, record.events, record.config, record.groups) == ({}, {}, [], {}, {})
    assert (record.last_step, record.last_time, record.latest("train/loss")) == (0, None, None)


def test_a_file_record_that_points_outside_the_folder_is_not_followed(tmp_path):
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (tmp_path / "secret.png").write_bytes(b"secret")
    (run_dir / "inside.png").write_bytes(b"picture")
    names = ["../secret.png", str(tmp_path / "secret.png"), "inside.png"]
    lines = [json.dumps({"key": f"k{i}", "step": 1, "path": name}) for i, name in enumerate(names)]
    (run_dir / "files.jsonl").write_text("\n".join(lines))
    assert list(RunRecord.read(run_dir).files) == ["k2"]


def test_a_file_that_is_gone_is_passed_over_for_the_one_before(tmp_path):
    (tmp_path / "a.png").write_bytes(b"a")
    lines = [json.dumps({"key": "k", "step": step, "path": name}) for step, name in ((1, "a.png"), (2, "gone.png"))]
    (tmp_path / "files.jsonl").write_text("\n".join(lines))
    assert RunRecord.read(tmp_path).latest_file("k").step == 1


def test_a_config_that_is_half_written_reads_as_empty(tmp_path):
    (tmp_path / "config.yaml").write_text("task: {name: [")
    assert RunRecord.read(tmp_path).config == {}


def test_a_table_with_a_torn_last_row_keeps_the_whole_rows(tmp_path):
    path = tmp_path / "episodes.csv"
    path.write_text("seed,score\n0,1.5\n1")
    assert read_table(path).to_dict("list") == {"seed": ["0"], "score": ["1.5"]}


def test_records_read_back_in_order(tmp_path):
    lines = JsonLines(tmp_path / "folder" / "metrics.jsonl")
    records = [{"step": 1, "a": 0.5}, {"step": 2, "text": "zwei\nä"}]
    for record in records:
        lines.append(record)
    assert lines.read() == records
    assert len(lines.path.read_bytes().splitlines()) == 2


def test_an_absent_file_has_no_records(tmp_path):
    assert JsonLines(tmp_path / "none").read() == []


@pytest.mark.parametrize("cut", range(1, 16))
def test_a_torn_line_is_skipped_and_the_next_one_survives(tmp_path, cut):
    lines = JsonLines(tmp_path / "metrics.jsonl")
    lines.append({"step": 1})
    lines.append({"step": 2, "a": 1})
    lines.path.write_bytes(lines.path.read_bytes()[:-cut])
    lines.append({"step": 3})
    steps = [record["step"] for record in lines.read()]
    # Losing only the line's end leaves the record whole.
    assert steps == ([1, 2, 3] if cut == 1 else [1, 3])


def test_bytes_that_are_no_text_are_skipped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'\x00\xff\x00\n[1, 2]\n{"step": 1}\n')
    assert JsonLines(path).read() == [{"step": 1}]


def test_a_number_that_json_cannot_name_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        JsonLines(tmp_path / "metrics.jsonl").append({"a": float("nan")})
