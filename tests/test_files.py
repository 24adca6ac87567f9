import pytest

from diffplan.files import keep_as, sweep_partials, write_atomically


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
