import h5py
import numpy as np
import pytest

from diffplan.data.source.d4rl_file import read_d4rl_file, summarize, verify_written_file, write_d4rl_file
from diffplan.errors import DataError

ARRAYS = {
    "observations": np.arange(6, dtype=np.float32).reshape(3, 2),
    "actions": np.zeros((3, 1), np.float32),
    "rewards": np.ones(3, np.float32),
    "terminals": np.array([False, False, True]),
    "timeouts": np.zeros(3, dtype=bool),
    "infos/qpos": np.ones((3, 2), np.float32),
}
METADATA = {"generator": "test", "medium/return_mean": 1.5, "seed": 3}


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "folder" / "file.hdf5"
    write_d4rl_file(path, ARRAYS, METADATA)
    verify_written_file(path)
    np.testing.assert_array_equal(read_d4rl_file(path).observations, ARRAYS["observations"])
    metadata = summarize(path).metadata
    assert {key: metadata[key] for key in METADATA} == METADATA


def test_the_bytes_depend_on_the_content_alone(tmp_path):
    write_d4rl_file(tmp_path / "one.hdf5", ARRAYS, METADATA)
    write_d4rl_file(tmp_path / "two.hdf5", ARRAYS, METADATA)
    assert (tmp_path / "one.hdf5").read_bytes() == (tmp_path / "two.hdf5").read_bytes()


def test_a_changed_array_is_found(tmp_path):
    path = tmp_path / "file.hdf5"
    write_d4rl_file(path, ARRAYS, METADATA)
    with h5py.File(path, "r+") as file:
        file["infos/qpos"][0, 0] = 5.0
    with pytest.raises(DataError, match="was changed after it was written; move it away"):
        verify_written_file(path)
