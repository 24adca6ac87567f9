import errno
import os
from pathlib import Path

import pytest

from diffplan.errors import ConfigError, DataError, ResultError
from diffplan.files import (
    cannot_write,
    keep_as,
    read_whole,
    read_yaml,
    status_of,
    sweep_partials,
    user_path,
    write_atomically,
)


def test_the_new_content_replaces_the_old_and_nothing_else_stays(tmp_path):
    path = tmp_path / "folder" / "page.html"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in path.parent.iterdir()] == ["page.html"]


def test_a_failed_write_leaves_the_old_content(tmp_path):
    target = tmp_path / "page.html"
    target.mkdir()
    (target / "old").write_text("old")
    with pytest.raises(OSError, match=r"page\.html"):
        write_atomically(target, b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]


def test_a_second_name_keeps_the_content_when_the_first_is_replaced(tmp_path):
    newest, kept = tmp_path / "last.ckpt", tmp_path / "kept.ckpt"
    kept.write_bytes(b"older")
    write_atomically(newest, b"old")
    keep_as(newest, kept)
    keep_as(newest, kept)
    write_atomically(newest, b"new")
    assert (newest.read_bytes(), kept.read_bytes()) == (b"new", b"old")
    assert len(list(tmp_path.iterdir())) == 2


def test_what_killed_processes_left_is_removed_except_in_folders_that_others_have_locked(tmp_path):
    for name in (".last.ckpt.partial", "media/.v.mp4.abc.partial", "plans/a/.x.partial", "mine.partial"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "plans" / "a" / ".lock").write_bytes(b"")
    sweep_partials(tmp_path)
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*partial"))
    assert left == ["mine.partial", "plans/a/.x.partial"]


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (errno.ENOSPC, "No space left on device; free some space or go elsewhere, then"),
        (errno.EROFS, "Read-only file system; go elsewhere, then"),
        (errno.EACCES, "Permission denied; go elsewhere, then"),
        (errno.ENAMETOOLONG, "File name too long; go elsewhere with a shorter name, then"),
    ],
)
def test_reasons_why_a_file_cannot_be_written_have_their_own_remedies(code, sentence):
    said = cannot_write(Path("here"), OSError(code, os.strerror(code)), "go elsewhere")
    assert said.startswith(f"here cannot be written: {sentence}")


@pytest.mark.parametrize("text", ["~nobody-is-called-so/data", "a\0b"])
def test_a_path_that_cannot_be_is_refused(text):
    with pytest.raises(ConfigError):
        user_path(text)


def test_what_the_system_does_not_tell_is_not_taken_for_absent(tmp_path):
    assert status_of(tmp_path / "absent") is None
    (tmp_path / "file").touch()
    assert status_of(tmp_path / "file" / "below") is None
    with pytest.raises(DataError, match="cannot be read: File name too long; give a shorter name"):
        status_of(tmp_path / ("a" * 300))
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    with pytest.raises(DataError, match="its links lead in a circle"):
        status_of(tmp_path / "circle")


def test_no_pipe_no_folder_and_no_endless_file_is_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "hole").touch()
    os.truncate(tmp_path / "hole", 2**40)
    for name, reason in {"pipe": "no ordinary file", "folder": "no ordinary file", "hole": "at most 100 are"}.items():
        with pytest.raises(ResultError, match=reason):
            read_whole(tmp_path / name, 100)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: &a [x]\nb: [*a, *a]", "aliases"),
        ("a: &a {b: *a}", "aliases"),
        ("[" * 50_000, "is not YAML"),
        ("\x00", "is not YAML"),
        ("!!python/object/apply:os.system [true]", "is not YAML"),
    ],
)
def test_yaml_that_means_more_than_it_says_is_refused(text, reason, tmp_path):
    (tmp_path / "file.yaml").write_text(text)
    with pytest.raises(ResultError, match=reason):
        read_yaml(tmp_path / "file.yaml")
