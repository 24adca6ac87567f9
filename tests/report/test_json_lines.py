import pytest

from diffplan.report.json_lines import JsonLines


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
