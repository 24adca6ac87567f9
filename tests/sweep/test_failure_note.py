from diffplan.sweep.failure_note import leave_failure_note, read_failure_note, remove_failure_note


def test_a_reason_is_left_read_and_removed(tmp_path):
    assert read_failure_note(tmp_path) is None
    leave_failure_note(tmp_path, "no data.")
    assert read_failure_note(tmp_path) == "no data."
    remove_failure_note(tmp_path)
    remove_failure_note(tmp_path)
    assert read_failure_note(tmp_path) is None


def test_a_folder_that_was_never_made_is_not_made_for_a_note(tmp_path):
    leave_failure_note(tmp_path / "runs", "no data.")
    assert not (tmp_path / "runs").exists()
