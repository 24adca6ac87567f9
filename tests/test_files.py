import pytest

from diffplan.files import write_atomically


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
