import hashlib
import os

import h5py
import numpy as np
import pytest

from diffplan.data.source.d4rl_file import (
    file_sha256,
    read_d4rl_file,
    summarize,
)
from diffplan.errors import DataError, DataNotFoundError, TaskMismatchError


def test_maze2d_layout_is_read_as_it_is(five_episodes, write_hdf5):
    extra = {"infos/goal": np.zeros((12, 2)), "infos/qpos": np.zeros((12, 2))}
    arrays = read_d4rl_file(write_hdf5(five_episodes | extra), observation_dim=4, action_dim=2)
    for key, array in five_episodes.items():
        np.testing.assert_array_equal(getattr(arrays, key), array)
    assert len(arrays) == 12
    assert arrays.metadata == {}


def test_replay_layout_in_float64_with_columns_of_width_one_becomes_flat_float32(five_episodes, write_hdf5):
    old = {
        "observations": five_episodes["observations"].astype(np.float64),
        "actions": five_episodes["actions"].astype(np.float64),
        "rewards": five_episodes["rewards"].astype(np.float64)[:, None],
        "terminals": five_episodes["terminals"][:, None],
        "timeouts": five_episodes["timeouts"][:, None],
    }
    arrays = read_d4rl_file(write_hdf5(old))
    for key, array in five_episodes.items():
        assert getattr(arrays, key).dtype == array.dtype
        np.testing.assert_array_equal(getattr(arrays, key), array)


def test_flags_stored_as_numbers_are_flags(five_episodes, write_hdf5):
    five_episodes["terminals"] = five_episodes["terminals"].astype(np.float32)
    five_episodes["timeouts"] = five_episodes["timeouts"].astype(np.uint8)
    arrays = read_d4rl_file(write_hdf5(five_episodes))
    assert np.flatnonzero(arrays.terminals).tolist() == [2, 6, 7]
    assert np.flatnonzero(arrays.timeouts).tolist() == [4, 6]


def test_kitchen_layout_without_timeouts_is_cut_at_the_episode_length(five_episodes, write_hdf5):
    del five_episodes["timeouts"]
    path = write_hdf5(five_episodes)
    # Terminals end rows 2, 6 and 7; a length of two counts anew after each of them.
    assert np.flatnonzero(read_d4rl_file(path, max_episode_steps=2).timeouts).tolist() == [1, 4, 6, 9, 11]
    assert np.flatnonzero(read_d4rl_file(path, max_episode_steps=3).timeouts).tolist() == [2, 5, 10]
    assert not read_d4rl_file(path).timeouts.any()


def test_stored_timeouts_win_over_the_episode_length(five_episodes, write_hdf5):
    arrays = read_d4rl_file(write_hdf5(five_episodes), max_episode_steps=2)
    np.testing.assert_array_equal(arrays.timeouts, five_episodes["timeouts"])


def test_metadata_keeps_single_values_and_leaves_policy_weights_out(five_episodes, write_hdf5):
    five_episodes["metadata/algorithm"] = np.bytes_("SAC")
    five_episodes["metadata/medium/transitions"] = np.int64(7)
    five_episodes["metadata/policy/fc0/weight"] = np.zeros((3, 3))
    path = write_hdf5(five_episodes, source="a note")
    assert read_d4rl_file(path).metadata == {"algorithm": "SAC", "medium/transitions": 7, "source": "a note"}
    assert summarize(path).metadata == read_d4rl_file(path).metadata


def test_a_path_without_a_file_is_reported(tmp_path):
    with pytest.raises(DataNotFoundError, match=r"There is no file .*absent\.hdf5"):
        read_d4rl_file(tmp_path / "absent.hdf5")


def test_a_folder_is_reported(tmp_path):
    with pytest.raises(DataError, match="is a folder"):
        read_d4rl_file(tmp_path)


def test_an_empty_file_is_reported(tmp_path):
    (tmp_path / "empty.hdf5").touch()
    with pytest.raises(DataError, match=r"empty\.hdf5 is empty"):
        read_d4rl_file(tmp_path / "empty.hdf5")


def test_a_file_that_is_not_hdf5_is_reported(tmp_path):
    (tmp_path / "page.hdf5").write_text("<html>Not found</html>")
    with pytest.raises(DataError, match=r"page\.hdf5 is not an HDF5 file"):
        read_d4rl_file(tmp_path / "page.hdf5")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_read_permission_is_reported(five_episodes, write_hdf5):
    path = write_hdf5(five_episodes)
    path.chmod(0)
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        read_d4rl_file(path)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_a_truncated_file_is_reported_wherever_it_stops(five_episodes, write_hdf5, share):
    path = write_hdf5({key: np.repeat(array, 500, axis=0) for key, array in five_episodes.items()})
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match=r"(is truncated|is damaged).*give the path of another file"):
        read_d4rl_file(path)


def test_damaged_rows_are_reported(five_episodes, write_hdf5, tmp_path):
    path = tmp_path / "damaged.hdf5"
    generator = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for key, array in five_episodes.items():
            file.create_dataset(key, data=np.repeat(array, 200, axis=0), compression="gzip")
        file["observations"][:] = generator.normal(size=(2400, 4))
        start = file["observations"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[start + 20 : start + 120] = bytes(100)
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="is damaged"):
        read_d4rl_file(path)


@pytest.mark.parametrize("key", ["observations", "actions", "rewards", "terminals"])
def test_a_missing_key_is_named_with_what_is_there(five_episodes, write_hdf5, key):
    del five_episodes[key]
    rest = ", ".join(sorted(five_episodes))
    with pytest.raises(DataError, match=f"lacks the key '{key}' .* it has {rest}"):
        read_d4rl_file(write_hdf5(five_episodes))


def test_a_group_in_the_place_of_an_array_counts_as_missing(five_episodes, write_hdf5):
    five_episodes["rewards/values"] = five_episodes.pop("rewards")
    with pytest.raises(DataError, match="lacks the key 'rewards'"):
        read_d4rl_file(write_hdf5(five_episodes))


def test_a_minari_file_is_recognised(write_hdf5):
    with pytest.raises(DataError, match="source=minari_source"):
        read_d4rl_file(write_hdf5({"episode_0/observations": np.zeros((3, 4))}))


@pytest.mark.parametrize("key", ["observations", "actions", "rewards"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_reported_with_key_and_row(five_episodes, write_hdf5, key, value):
    five_episodes[key][7] = value
    with pytest.raises(DataError, match=f"finite numbers under '{key}', got {value} in row 7"):
        read_d4rl_file(write_hdf5(five_episodes))


def test_a_number_too_large_for_float32_is_reported(five_episodes, write_hdf5):
    five_episodes["observations"] = five_episodes["observations"].astype(np.float64)
    five_episodes["observations"][3, 1] = 1e300
    with pytest.raises(DataError, match="finite numbers under 'observations', got inf in row 3"):
        read_d4rl_file(write_hdf5(five_episodes))


@pytest.mark.parametrize("key", ["observations", "actions", "rewards", "terminals", "timeouts"])
def test_arrays_of_different_length_are_reported(five_episodes, write_hdf5, key):
    five_episodes[key] = five_episodes[key][:-1]
    with pytest.raises(DataError, match=f"equally many rows under every key, got .*{key} 11"):
        read_d4rl_file(write_hdf5(five_episodes))


def test_a_file_without_rows_is_reported(five_episodes, write_hdf5):
    with pytest.raises(DataError, match="holds no rows"):
        read_d4rl_file(write_hdf5({key: array[:0] for key, array in five_episodes.items()}))


@pytest.mark.parametrize(("key", "shape"), [("observations", (12,)), ("actions", (12, 1, 2)), ("rewards", (12, 2))])
def test_an_array_of_the_wrong_rank_is_reported(five_episodes, write_hdf5, key, shape):
    five_episodes[key] = np.zeros(shape, dtype=np.float32)
    with pytest.raises(DataError, match=f"under '{key}', got the shape"):
        read_d4rl_file(write_hdf5(five_episodes))


def test_text_in_the_place_of_numbers_is_reported(five_episodes, write_hdf5):
    five_episodes["rewards"] = np.array([b"one"] * 12)
    with pytest.raises(DataError, match="must hold numbers under 'rewards'"):
        read_d4rl_file(write_hdf5(five_episodes))


def test_wrong_dimensions_are_reported_with_both_numbers_and_the_yaml_to_fix(five_episodes, write_hdf5):
    path = write_hdf5(five_episodes)
    with pytest.raises(TaskMismatchError, match=r"observation_dim=11 but .* has 4\. Fix conf/task/hopper-medium-v2"):
        read_d4rl_file(path, observation_dim=11, task_name="hopper-medium-v2")
    with pytest.raises(TaskMismatchError, match=r"action_dim=3 but .* has 2"):
        read_d4rl_file(path, observation_dim=4, action_dim=3)


def test_reading_a_broken_file_leaves_it_as_it_was(five_episodes, write_hdf5):
    path = write_hdf5(five_episodes)
    path.write_bytes(path.read_bytes()[:3000])
    before = path.read_bytes()
    with pytest.raises(DataError):
        read_d4rl_file(path)
    assert path.read_bytes() == before


def test_rows_are_counted_without_reading_them(five_episodes, write_hdf5):
    assert summarize(write_hdf5(five_episodes)).num_rows == 12


def test_absent_keys_are_found(five_episodes, write_hdf5):
    path = write_hdf5(five_episodes)
    summarize(path, ("observations", "timeouts"))
    with pytest.raises(DataError, match="lacks the key 'infos/goal'"):
        summarize(path, ("observations", "infos/goal"))


def test_arrays_are_listed_by_their_path(five_episodes, write_hdf5):
    five_episodes["infos/goal"] = np.zeros((12, 2))
    arrays = summarize(write_hdf5(five_episodes)).arrays
    assert arrays["infos/goal"] == ((12, 2), "float64")
    assert arrays["terminals"] == ((12,), "bool")


def test_a_changed_file_gets_a_new_hash(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"one")
    assert file_sha256(path) == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"three")
    assert file_sha256(path) == hashlib.sha256(b"three").hexdigest()


def test_a_file_that_cannot_be_hashed_is_reported(tmp_path):
    with pytest.raises(DataError, match="cannot be read: No such file"):
        file_sha256(tmp_path / "absent")
