import pytest

from diffplan.data.download import PartialFile


@pytest.fixture
def part(tmp_path):
    return PartialFile(tmp_path / "data.hdf5", "http://one")


def test_bytes_belong_to_the_address_they_came_from(part):
    assert not part.belongs_here()
    part.restart({"ETag": '"a"'})
    assert not part.belongs_here()
    part.path.write_bytes(b"abc")
    assert part.belongs_here()
    assert part.size == 3
    assert not PartialFile(part.target, "http://two").belongs_here()


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({"ETag": '"a"', "Last-Modified": "Monday"}, '"a"'),
        ({"ETag": 'W/"a"', "Last-Modified": "Monday"}, "Monday"),
        ({"ETag": 'W/"a"'}, None),
        ({}, None),
    ],
)
def test_the_strongest_version_is_asked_for(part, headers, validator):
    part.restart(headers)
    assert part.validator == validator


@pytest.mark.parametrize(
    ("headers", "continues"),
    [
        ({"Content-Range": "bytes 3-9/10", "ETag": '"a"'}, True),
        ({"Content-Range": "bytes 3-9/10"}, True),
        ({"Content-Range": "bytes 3-9/10", "ETag": '"b"'}, False),
        ({"Content-Range": "bytes 2-9/10", "ETag": '"a"'}, False),
        ({}, False),
    ],
)
def test_a_range_continues_only_at_the_last_byte_of_the_same_version(part, headers, continues):
    part.restart({"ETag": '"a"'})
    part.path.write_bytes(b"abc")
    assert part.continues(headers) is continues


def test_a_note_that_is_no_json_counts_as_none(part):
    part.restart({"ETag": '"a"'})
    part.path.write_bytes(b"abc")
    part.path.with_name("data.hdf5.part.json").write_text("{half")
    assert not part.belongs_here()
    assert part.validator is None


def test_publishing_replaces_the_target_and_leaves_nothing_else(part, tmp_path):
    part.target.write_bytes(b"old")
    part.restart({})
    part.path.write_bytes(b"new")
    part.publish()
    assert part.target.read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["data.hdf5"]


def test_discarding_leaves_nothing_and_may_be_repeated(part, tmp_path):
    part.restart({})
    part.discard()
    part.discard()
    assert list(tmp_path.iterdir()) == []
