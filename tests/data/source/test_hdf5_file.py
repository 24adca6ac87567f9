import os
import socket
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
from h5py import h5d, h5f, h5p, h5s, h5t

import diffplan.data.source.hdf5_file as hdf5_file
from diffplan.data.source.d4rl_file import read_d4rl_file, summarize
from diffplan.errors import DataError

ROWS = 12


@pytest.fixture
def path(five_episodes, write_hdf5) -> Path:
    del five_episodes["rewards"]
    return write_hdf5(five_episodes)


def refused(path: Path, sentence: str) -> None:
    before = path.read_bytes()
    for read in (read_d4rl_file, summarize):
        with pytest.raises(DataError, match=sentence) as caught:
            read(path)
        assert str(path) in str(caught.value)
    assert path.read_bytes() == before


def test_values_in_another_file_are_not_read(path, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(4 * ROWS))
    with h5py.File(path, "r+") as file:
        file.create_dataset("rewards", (ROWS,), "f4", external=[(str(tmp_path / "secret"), 0, 4 * ROWS)])
    refused(path, "keeps the values of 'rewards' in external storage, another file; a data file must store all")


def test_metadata_in_another_file_is_not_read(five_episodes, write_hdf5, tmp_path):
    path = write_hdf5(five_episodes)
    (tmp_path / "secret").write_bytes(b"secret")
    with h5py.File(path, "r+") as file:
        made = h5p.create(h5p.DATASET_CREATE)
        made.set_external(str(tmp_path / "secret").encode(), 0, 6)
        group = file.create_group("metadata")
        h5d.create(group.id, b"note", h5t.py_create(np.dtype("S6")), h5s.create(h5s.SCALAR), made)
    refused(path, "'metadata/note' in external storage")


@pytest.mark.parametrize(
    ("link", "sentence"),
    [
        (h5py.ExternalLink("other.hdf5", "/rewards"), "holds an external link 'rewards'"),
        (h5py.SoftLink("/observations"), "holds a soft link 'rewards'"),
    ],
)
@pytest.mark.parametrize("place", ["rewards", "infos/deep/link"])
def test_links_are_not_followed_wherever_they_are(path, link, sentence, place):
    with h5py.File(path, "r+") as file:
        file[place] = link
    refused(path, sentence.replace("rewards", place))


def test_an_array_made_of_other_arrays_is_refused(path, tmp_path):
    with h5py.File(path, "r+") as file:
        layout = h5py.VirtualLayout((ROWS,), "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "gone.hdf5"), "rewards", (ROWS,))
        file.create_virtual_dataset("rewards", layout)
    refused(path, "holds a virtual array 'rewards'")


def test_a_filter_that_is_a_plugin_is_refused(path):
    with h5py.File(path, "r+") as file:
        made = h5p.create(h5p.DATASET_CREATE)
        made.set_chunk((ROWS,))
        made.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, ())
        h5d.create(file.id, b"rewards", h5t.IEEE_F32LE, h5s.create_simple((ROWS,)), made)
    refused(path, r"needs the filter 32015 .* to read 'rewards', which is code")


def test_references_are_refused(path):
    with h5py.File(path, "r+") as file:
        file["rewards"] = np.zeros(ROWS)
        file["infos/reference"] = file["rewards"].ref
    refused(path, "holds references to other objects under 'infos/reference'")


def test_a_reference_in_an_attribute_is_refused(path):
    with h5py.File(path, "r+") as file:
        file["rewards"] = np.zeros(ROWS)
        file.attrs["reference"] = file["rewards"].regionref[:3]
    refused(path, "holds references to other objects under 'attribute reference'")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (h5t.STD_B8LE, "a bit field"),
        (h5t.UNIX_D32LE, "a time"),
        (h5t.py_create(h5py.enum_dtype({"a": 0, "b": 1}, "i1"), logical=True), "an enumeration"),
        (h5t.py_create(np.dtype([("a", "f4")])), "a compound"),
        (h5t.py_create(h5py.vlen_dtype("f4"), logical=True), "a list of varying length"),
        (h5t.py_create(np.dtype((np.float32, (2,))), logical=True), "an array in each place"),
        (h5t.py_create(np.dtype("V3")), "opaque bytes"),
        (h5t.py_create(np.dtype("S4")), "text"),
    ],
)
def test_values_that_are_no_plain_numbers_are_named(path, kind, name):
    with h5py.File(path, "r+") as file:
        h5d.create(file.id, b"rewards", kind, h5s.create_simple((ROWS,)))
    with pytest.raises(DataError, match=f"must hold numbers under 'rewards', got {name}"):
        read_d4rl_file(path)


def test_an_integer_of_unusual_width_is_no_number(path):
    kind = h5t.STD_I32LE.copy()
    kind.set_precision(24)
    with h5py.File(path, "r+") as file:
        h5d.create(file.id, b"rewards", kind, h5s.create_simple((ROWS,)))
    with pytest.raises(DataError, match="must hold numbers under 'rewards', got an unusual integer"):
        read_d4rl_file(path)


@pytest.mark.parametrize("dtype", [">f8", "<f2", ">i2", "u8", "i1", "?"])
def test_plain_numbers_of_every_width_and_order_are_read(path, dtype):
    with h5py.File(path, "r+") as file:
        file["rewards"] = np.ones(ROWS, dtype)
    np.testing.assert_array_equal(read_d4rl_file(path).rewards, np.ones(ROWS, np.float32))


@pytest.mark.parametrize("options", [{}, {"chunks": (1000,)}, {"chunks": (1000,), "compression": "gzip"}])
def test_rows_that_are_declared_but_not_stored_cost_no_memory(path, options):
    with h5py.File(path, "r+") as file:
        file.create_dataset("rewards", (2_000_000_000,), "f4", **options)
    assert path.stat().st_size < 50_000
    with pytest.raises(DataError, match="declares 2,000,000,000 values under 'rewards' but stores none of them"):
        read_d4rl_file(path)


def test_rows_of_which_only_a_part_is_stored_are_refused(path):
    with h5py.File(path, "r+") as file:
        file.create_dataset("rewards", (ROWS,), "f4", chunks=(4,))[:5] = 1.0
    with pytest.raises(DataError, match="declares 12 values under 'rewards' but stores only a part of them"):
        read_d4rl_file(path)


def test_an_array_that_grows_more_than_gzip_can_shrink_is_refused(path, monkeypatch):
    monkeypatch.setattr(hdf5_file, "MAX_EXPANSION", 500)
    with h5py.File(path, "r+") as file:
        file.create_dataset("rewards", data=np.zeros(1_000_000, "i4"), chunks=(1_000_000,), compression="gzip")
    with pytest.raises(DataError, match=r"declares 1,000,000 values under 'rewards', 4,000,000 bytes, in [0-9,]+ byt"):
        read_d4rl_file(path)


def test_zeros_that_gzip_made_small_are_read(path):
    with h5py.File(path, "r+") as file:
        file.create_dataset("rewards", data=np.zeros(ROWS, "f4"), compression="gzip")
        file.create_dataset("infos/zeros", data=np.zeros(5_000_000, "f4"), compression="gzip", chunks=(5_000_000,))
    with hdf5_file.open_hdf5(path) as file:
        assert not file.numbers("infos/zeros").any()


def test_an_array_larger_than_the_free_memory_is_refused(path, monkeypatch):
    with h5py.File(path, "r+") as file:
        file["rewards"] = np.zeros(ROWS)
    monkeypatch.setattr(hdf5_file, "available_memory", lambda: 100)
    with pytest.raises(
        DataError, match="needs 384 B of memory, most of it for 'observations', and 100 B are available"
    ):
        read_d4rl_file(path)


def test_groups_may_contain_themselves_but_not_nest_without_end(path, monkeypatch):
    with h5py.File(path, "r+") as file:
        file["rewards"] = np.zeros(ROWS)
        file["infos/loop"] = file["/"]
    assert len(read_d4rl_file(path)) == ROWS
    with h5py.File(path, "r+") as file:
        group = file.create_group("deep")
        for _ in range(40):
            group = group.create_group("g")
    refused(path, "nests groups more than 32 deep")


def test_too_many_objects_are_refused(path, monkeypatch):
    with h5py.File(path, "r+") as file:
        file["rewards"] = np.zeros(ROWS)
    monkeypatch.setattr(hdf5_file, "MAX_OBJECTS", 3)
    refused(path, "holds more than 3 objects")


def test_a_long_text_is_refused(path):
    with h5py.File(path, "r+") as file:
        file["rewards"] = np.zeros(ROWS)
        file["metadata/note"] = "a" * 20_000
    refused(path, "has a text of 20,000 bytes under 'metadata/note'; 10,000 are read at most")


def test_single_values_that_are_no_numbers_or_texts_are_no_metadata(path):
    with h5py.File(path, "r+") as file:
        file["rewards"] = np.zeros(ROWS)
        file["metadata/pair"] = np.zeros((), [("a", "f4")])
        file["metadata/flag"] = True
        file.attrs["times"] = np.zeros(3)
        file.attrs["text"] = "é"
        file.attrs["bytes"] = np.bytes_(b"\xff")
    assert summarize(path).metadata == {"flag": True, "text": "é", "bytes": "\ufffd"}


@pytest.mark.parametrize("make", ["pipe", "socket", "device"])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path, make, monkeypatch):
    monkeypatch.chdir(tmp_path)  # The path of a socket must be short.
    place = Path("data.hdf5")
    if make == "pipe":
        os.mkfifo(place)
    elif make == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(place))
    else:
        place = Path("/dev/zero")
    with pytest.raises(DataError, match=r"must be an HDF5 file .* but is a pipe, a socket or a device"):
        read_d4rl_file(place)


@pytest.mark.parametrize("flag", [2, 255])
def test_a_flag_other_than_0_and_1_is_reported(five_episodes, write_hdf5, flag):
    path = write_hdf5(five_episodes)
    with h5py.File(path) as file:
        offset = file["terminals"].id.get_offset()
    content = bytearray(path.read_bytes())
    content[offset + 4 : offset + 5] = struct.pack("B", flag)
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"must hold 0 or 1 under 'terminals', got {flag} in row 4\."):
        read_d4rl_file(path)


def test_observations_that_are_always_zero_are_said(five_episodes, write_hdf5, caplog):
    five_episodes["observations"][:, [1, 3]] = 0.0
    read_d4rl_file(write_hdf5(five_episodes))
    assert "the observations are 0 in every row in column 1, 3." in caplog.text


def test_an_old_file_format_is_read(five_episodes, tmp_path):
    for number, version in enumerate((h5f.LIBVER_EARLIEST, h5f.LIBVER_LATEST)):
        access = h5p.create(h5p.FILE_ACCESS)
        access.set_libver_bounds(version, h5f.LIBVER_LATEST)
        path = tmp_path / f"{number}.hdf5"
        with h5py.File(h5f.create(str(path).encode(), h5f.ACC_TRUNC, fapl=access)) as file:
            for key, array in five_episodes.items():
                file.create_dataset(key, data=array)
        assert len(read_d4rl_file(path)) == ROWS


def test_a_group_in_the_place_of_timeouts_is_not_taken_for_none(five_episodes, write_hdf5):
    five_episodes["timeouts/values"] = five_episodes.pop("timeouts")
    with pytest.raises(DataError, match="lacks the key 'timeouts'"):
        read_d4rl_file(write_hdf5(five_episodes))
