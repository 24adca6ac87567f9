import io
import zipfile

import numpy as np
import pytest

from diffplan.data.collect.npz_file import read_npz


def test_numbers_and_flags_are_read(tmp_path):
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b/c": np.array([True, False])}
    np.savez_compressed(tmp_path / "x.npz", **arrays)
    for key, array in read_npz(tmp_path / "x.npz").items():
        np.testing.assert_array_equal(array, arrays[key])


def test_an_array_that_declares_more_than_follows_costs_no_memory(tmp_path):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f8", "fortran_order": False, "shape": (10**15,)})
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("a.npy", buffer.getvalue() + bytes(64))
    with pytest.raises(ValueError, match="no array of numbers"):
        read_npz(tmp_path / "x.npz")


def test_pickled_objects_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="no array of numbers"):
        read_npz(tmp_path / "x.npz")
