"""What the operating system refuses is said in one sentence that names the right file and setting."""

import errno
import os

import pytest

from diffplan.errors import DiffplanError, system_refusal


def refusal(number, file=None, places=None):
    return system_refusal(OSError(number, os.strerror(number), file and str(file)), places or {})


def test_a_full_disk_names_the_run_and_its_setting_if_the_file_is_not_known():
    said = refusal(errno.ENOSPC, None, {"paths.output_dir=...": "outputs/run", "TMPDIR": "/tmp"})
    assert said == (
        "cannot write to outputs/run: the disk is full; free some space or choose another paths.output_dir=..."
    )


@pytest.mark.parametrize(
    ("number", "verb", "reason"),
    [
        (errno.EROFS, "write to", "the disk can only be read"),
        (errno.EDQUOT, "write to", "the quota of the disk is used up; free some space"),
        (errno.EEXIST, "write to", "a file is in the place of a folder"),
        (errno.ENOENT, "read", "it is not there"),
        (errno.ENAMETOOLONG, "use", "the name is too long"),
        (errno.ENOTDIR, "use", "a part of its path is a file and no folder"),
        (errno.ELOOP, "use", "its links lead in a circle"),
    ],
)
def test_each_refusal_has_its_own_words(number, verb, reason):
    assert refusal(number, "some/file") == f"cannot {verb} some/file: {reason}."


def test_the_setting_is_the_one_whose_folder_holds_the_file(tmp_path):
    places = {"--to ...": tmp_path / "page", "paths.data_dir=...": tmp_path / "data"}
    assert refusal(errno.EROFS, tmp_path / "data" / "x", places).endswith("; choose another paths.data_dir=...")
    assert refusal(errno.EROFS, tmp_path / "elsewhere", places).endswith("the disk can only be read.")


def test_a_refusal_is_found_behind_other_errors():
    error = ValueError("cannot configure the log")
    error.__cause__ = OSError(errno.ENOENT, "", "no/such/file")
    assert system_refusal(error, {}) == "cannot read no/such/file: it is not there."


@pytest.mark.parametrize("error", [ValueError("x"), DiffplanError("x"), ConnectionResetError(104, "reset"), None])
def test_other_errors_are_no_refusals(error):
    assert system_refusal(error, {}) is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_an_unreadable_file_is_not_called_unwritable(tmp_path):
    file = tmp_path / "file"
    file.touch()
    file.chmod(0)
    assert refusal(errno.EACCES, file).startswith(f"cannot read {file}: it is not permitted")
    file.chmod(0o400)
    assert refusal(errno.EACCES, file).startswith(f"cannot write to {file}: it is not permitted")
