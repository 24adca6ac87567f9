import hashlib
import multiprocessing
import os
import signal
import time
from itertools import pairwise

import h5py
import numpy as np
import pytest

from diffplan.data.source.base import AbstractSource
from diffplan.data.source.d4rl_file import read_d4rl_file
from diffplan.data.source.maze2d_source import Maze2DSource
from diffplan.errors import ConfigError, DataError, DataNotFoundError

ROWS = 2000


def source_in(folder, **arguments):
    return Maze2DSource(**{"num_transitions": ROWS, "seed": 3, "data_dir": folder, **arguments})


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    source = source_in(tmp_path_factory.mktemp("data"))
    source.prepare()
    return source


def test_the_file_reads_as_a_d4rl_file(prepared):
    arrays = read_d4rl_file(prepared.path, observation_dim=4, action_dim=2)
    made = prepared.recipe.collect()
    assert len(arrays) == ROWS
    np.testing.assert_array_equal(arrays.observations, made["observations"])
    np.testing.assert_array_equal(arrays.timeouts, made["timeouts"])
    assert not arrays.terminals.any()


def test_the_file_says_how_it_was_made(prepared):
    metadata = read_d4rl_file(prepared.path).metadata
    assert metadata["name"] == "maze2d-umaze-v1"
    assert (metadata["seed"], metadata["num_transitions"], metadata["noise"]) == (3, ROWS, 0.5)
    assert "not D4RL's own data" in metadata["generator"]
    assert metadata["mujoco_version"]


def test_a_seed_gives_the_same_bytes_at_another_time_and_place(prepared, tmp_path):
    # Time stamps in HDF5 count whole seconds.
    written = int(prepared.path.stat().st_mtime)
    while int(time.time()) == written:
        time.sleep(0.01)
    other = source_in(tmp_path / "elsewhere")
    other.prepare()
    assert other.path.name == prepared.path.name == "maze2d-umaze-v1-2000-seed3.hdf5"
    assert other.path.read_bytes() == prepared.path.read_bytes()


def test_identity_is_the_files_hash(prepared):
    identity = prepared.identity()
    assert identity.kind == "regenerated"
    assert identity.sha256 == hashlib.sha256(prepared.path.read_bytes()).hexdigest()
    assert (identity.name, identity.num_transitions) == ("maze2d-umaze-v1", ROWS)


def test_preparing_again_leaves_the_file_alone(prepared):
    before = prepared.path.stat()
    prepared.prepare()
    assert prepared.path.stat().st_mtime_ns == before.st_mtime_ns
    assert prepared.path.stat().st_ino == before.st_ino


def test_episodes_end_where_the_ball_leaves_the_target(prepared):
    episodes = list(prepared.episodes())
    assert sum(len(episode) for episode in episodes) == ROWS
    assert len(episodes) > 2
    for episode, following in pairwise(episodes):
        assert np.linalg.norm(episode.observations[-1, :2] - 1.0) < 0.5
        assert np.linalg.norm(following.observations[0, :2] - 1.0) >= 0.5
        assert episode.truncated
        assert not episode.terminated


def test_episodes_can_end_at_the_flags_instead(prepared):
    source = source_in(prepared.path.parent.parent, segmentation="flags")
    flags = read_d4rl_file(source.path).timeouts
    lengths = np.cumsum([len(episode) for episode in source.episodes()])
    np.testing.assert_array_equal(lengths[:-1] - 1, np.flatnonzero(flags[:-1])[: len(lengths) - 1])


def test_the_unfinished_end_can_be_left_out(prepared):
    with_end, without_end = (
        list(source_in(prepared.path.parent.parent, include_unfinished=flag).episodes()) for flag in (True, False)
    )
    assert len(with_end) == len(without_end) + 1


def test_it_is_a_source():
    assert issubclass(Maze2DSource, AbstractSource)


def test_asking_before_preparing_names_the_command(tmp_path):
    source = source_in(tmp_path)
    with pytest.raises(DataNotFoundError, match="diffplan data generate maze2d-umaze-v1"):
        source.episodes()
    with pytest.raises(DataNotFoundError):
        source.identity()


def test_a_changed_file_is_refused_and_kept(prepared, tmp_path):
    source = source_in(tmp_path)
    source.path.parent.mkdir()
    source.path.write_bytes(prepared.path.read_bytes())
    with h5py.File(source.path, "r+") as file:
        file["actions"][7] = 0.123
    before = source.path.read_bytes()
    with pytest.raises(DataError, match="was changed after it was written; move it away"):
        source.prepare()
    assert source.path.read_bytes() == before


@pytest.mark.parametrize("size", [0, 100, 3000])
def test_a_truncated_file_is_refused(prepared, tmp_path, size):
    source = source_in(tmp_path)
    source.path.parent.mkdir()
    source.path.write_bytes(prepared.path.read_bytes()[:size])
    with pytest.raises(DataError, match=r"is (empty|not an HDF5 file|truncated|damaged)"):
        source.prepare()


def test_a_folder_that_cannot_be_made_is_reported(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DataError, match="cannot be written"):
        source_in(tmp_path / "file").prepare()


def test_an_unknown_segmentation_is_refused(tmp_path):
    unchecked = getattr(Maze2DSource.__init__, "__wrapped__", Maze2DSource.__init__)
    with pytest.raises(ConfigError, match="got 'episodes'"):
        unchecked(Maze2DSource.__new__(Maze2DSource), segmentation="episodes", data_dir=tmp_path)


@pytest.mark.slow
def test_two_processes_at_once_write_one_good_file(prepared, tmp_path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=source_in(tmp_path).prepare) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert source_in(tmp_path).path.read_bytes() == prepared.path.read_bytes()
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.slow
def test_a_killed_process_leaves_no_file_and_no_lock(tmp_path):
    large = source_in(tmp_path, num_transitions=2_000_000)
    process = multiprocessing.get_context("spawn").Process(target=large.prepare)
    process.start()
    lock = large.path.with_name(f".{large.path.name}.lock")
    while not lock.exists():
        time.sleep(0.05)
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not large.path.exists()
    small = source_in(tmp_path)
    small.prepare()
    assert len(list(small.episodes())) > 1
