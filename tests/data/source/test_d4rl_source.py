import dataclasses
import hashlib
import inspect
from pathlib import Path

import numpy as np
import pytest
import yaml

import diffplan
from diffplan.data.catalog import catalog, dataset
from diffplan.data.source import d4rl_source as d4rl_source_module
from diffplan.data.source.d4rl_source import D4RLSource
from diffplan.errors import ConfigError, DataError, DataNotFoundError, DownloadError, TaskMismatchError

FILE = "maze2d-umaze-sparse-v1.hdf5"
INFOS = {"infos/goal": np.zeros((12, 2)), "infos/qpos": np.zeros((12, 2)), "infos/qvel": np.zeros((12, 2))}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """D4RL's cache, empty, with no server behind it."""
    monkeypatch.setenv("D4RL_DATASET_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("D4RL_BASE_URL", "http://127.0.0.1:9/")
    return tmp_path / "cache"


@pytest.fixture
def quick(monkeypatch):
    """Retries without pauses."""
    original = d4rl_source_module.download_file
    monkeypatch.setattr(
        d4rl_source_module, "download_file", lambda *args, **options: original(*args, **options, backoff_seconds=0.0)
    )


def test_a_given_file_is_read(cache, write_hdf5, five_episodes):
    path = write_hdf5(five_episodes, "any.hdf5")
    source = D4RLSource("maze2d-umaze-v1", path=str(path), observation_dim=4, action_dim=2)
    source.prepare()
    assert [len(episode) for episode in source.episodes()] == [3, 2, 2, 1, 4]
    identity = source.identity()
    assert (identity.name, identity.kind, identity.num_transitions) == ("maze2d-umaze-v1", "file", 12)
    assert identity.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_only_the_first_rows_are_used_where_asked(cache, write_hdf5, five_episodes):
    path = write_hdf5(five_episodes)
    source = D4RLSource("maze2d-umaze-v1", path=str(path), num_transitions=4)
    episodes = list(source.episodes())
    assert [len(episode) for episode in episodes] == [3, 1]
    np.testing.assert_array_equal(episodes[1].observations, five_episodes["observations"][3:4])
    assert source.identity().num_transitions == 4
    assert D4RLSource("maze2d-umaze-v1", path=str(path), num_transitions=99).identity().num_transitions == 12
    with pytest.raises(ConfigError, match="at least 1 or null, got 0"):
        D4RLSource("maze2d-umaze-v1", path=str(path), num_transitions=0)


def test_a_given_file_may_belong_to_no_published_data_set(cache, write_hdf5, five_episodes):
    source = D4RLSource("my-robot-v0", path=str(write_hdf5(five_episodes)))
    assert sum(len(episode) for episode in source.episodes()) == 12
    assert source.identity().kind == "file"


def test_goal_departures_cut_where_the_task_says_so(cache, write_hdf5, five_episodes):
    five_episodes["observations"][:, :2] = 9.0
    five_episodes["observations"][[4, 5, 9], :2] = 1.0
    path = write_hdf5(five_episodes)
    settings = {"path": str(path), "segmentation": "goal_departure", "target": [1.0, 1.0]}
    assert [len(episode) for episode in D4RLSource("maze2d-umaze-v1", **settings).episodes()] == [6, 4, 2]
    finished = D4RLSource("maze2d-umaze-v1", **settings, include_unfinished=False)
    assert [len(episode) for episode in finished.episodes()] == [6, 4]


def test_kitchen_files_are_cut_at_the_episode_length(cache, write_hdf5, five_episodes):
    del five_episodes["timeouts"]
    five_episodes["terminals"][:] = False
    source = D4RLSource("kitchen-mixed-v0", path=str(write_hdf5(five_episodes)), max_episode_steps=5)
    assert [len(episode) for episode in source.episodes()] == [5, 5, 2]


def test_d4rl_s_cache_is_searched_before_the_data_folder(cache, write_hdf5, five_episodes, tmp_path):
    source = D4RLSource("maze2d-umaze-v1", data_dir=str(tmp_path / "data"), download=False)
    assert source.find() is None
    in_data = write_hdf5(five_episodes, f"data/{FILE}")
    assert source.find() == in_data
    in_cache = write_hdf5(five_episodes, f"cache/{FILE}")
    assert source.find() == in_cache
    assert source.identity().kind == "file"  # It has not D4RL's million rows.


def test_a_given_file_that_is_absent_is_not_looked_for_elsewhere(cache, write_hdf5, five_episodes, tmp_path):
    write_hdf5(five_episodes, f"cache/{FILE}")
    with pytest.raises(DataNotFoundError, match=r"no file .*absent\.hdf5"):
        D4RLSource("maze2d-umaze-v1", path=str(tmp_path / "absent.hdf5")).prepare()


def test_a_missing_file_is_reported_with_the_commands_that_get_it(cache, tmp_path):
    source = D4RLSource("maze2d-umaze-v1", data_dir=str(tmp_path / "data"), download=False)
    for action in (source.prepare, source.identity, source.episodes):
        with pytest.raises(DataNotFoundError) as caught:
            action()
        for needed in ("diffplan data fetch maze2d-umaze-v1", "diffplan data generate maze2d-umaze-v1", "source.path="):
            assert needed in str(caught.value)


def test_data_that_cannot_be_regenerated_does_not_offer_it(cache):
    with pytest.raises(DataNotFoundError) as caught:
        D4RLSource("hopper-medium-v2", download=False).prepare()
    assert "generate" not in str(caught.value)
    assert "diffplan data fetch hopper-medium-v2" in str(caught.value)


def test_a_name_that_nobody_published_is_reported_without_a_download(cache):
    with pytest.raises(DataNotFoundError, match=r"publishes no data set 'maze2d-open-v1'.*generate maze2d-open-v1"):
        D4RLSource("maze2d-open-v1").prepare()
    with pytest.raises(DataNotFoundError, match="did you mean 'hopper-medium-v2'"):
        D4RLSource("hopper-medum-v2").prepare()


def test_a_failed_download_names_the_other_ways_and_reads_nothing_else(cache, quick, write_hdf5, five_episodes):
    write_hdf5(five_episodes, "regenerated/maze2d-umaze-v1-12-seed0.hdf5")
    source = D4RLSource("maze2d-umaze-v1", data_dir=str(cache.parent))
    with pytest.raises(
        DownloadError, match=r"cannot be downloaded: .*; instead, .*diffplan data generate maze2d-umaze"
    ):
        source.prepare()
    with pytest.raises(DataNotFoundError):
        source.episodes()


def test_a_published_file_is_downloaded_to_d4rl_s_cache_and_counts_as_d4rl(
    cache, server, monkeypatch, write_hdf5, five_episodes
):
    content = write_hdf5(five_episodes).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    entry = dataclasses.replace(dataset("hopper-medium-v2"), num_bytes=len(content), sha256=digest)
    monkeypatch.setitem(catalog(), "hopper-medium-v2", entry)
    monkeypatch.setenv("D4RL_BASE_URL", server.url)
    server.files["/gym_mujoco_v2/hopper_medium-v2.hdf5"] = content
    source = D4RLSource("hopper-medium-v2")
    source.prepare()
    source.prepare()
    assert len(server.ranges) == 1
    assert (cache / "hopper_medium-v2.hdf5").read_bytes() == content
    assert source.identity().kind == "d4rl"


def test_a_downloaded_maze_must_have_d4rl_s_arrays(cache, server, monkeypatch, write_hdf5, five_episodes):
    monkeypatch.setenv("D4RL_BASE_URL", server.url)
    server.files[f"/maze2d/{FILE}"] = write_hdf5(five_episodes).read_bytes()
    with pytest.raises(DownloadError, match="lacks the key 'infos/qpos'"):
        D4RLSource("maze2d-umaze-v1").prepare()
    server.files[f"/maze2d/{FILE}"] = write_hdf5(five_episodes | INFOS).read_bytes()
    source = D4RLSource("maze2d-umaze-v1")
    with pytest.raises(DownloadError, match="must have D4RL's 1,000,000 rows, got 12"):
        source.prepare()
    monkeypatch.setitem(
        catalog(), "maze2d-umaze-v1", dataclasses.replace(dataset("maze2d-umaze-v1"), num_transitions=12)
    )
    source.prepare()
    assert source.identity().num_transitions == 12


def test_a_broken_file_in_the_cache_is_reported_and_left_alone(cache, write_hdf5, five_episodes):
    path = write_hdf5(five_episodes, f"cache/{FILE}")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match="is truncated"):
        D4RLSource("maze2d-umaze-v1").prepare()
    assert path.stat().st_size == 2000


def test_wrong_dimensions_name_the_task_s_yaml(cache, write_hdf5, five_episodes):
    source = D4RLSource("hopper-medium-v2", path=str(write_hdf5(five_episodes)), observation_dim=11)
    with pytest.raises(
        TaskMismatchError, match=r"'hopper-medium-v2' declares observation_dim=11 .*hopper-medium-v2\.yaml"
    ):
        list(source.episodes())


@pytest.mark.parametrize("settings", [{"segmentation": "goal_departure"}, {"segmentation": "goals"}])
def test_a_segmentation_that_cannot_work_is_refused_at_construction(settings):
    # jaxtyping's check of the Literal annotation comes first in tests, so both kinds of refusal count.
    with pytest.raises((ConfigError, TypeError), match="segmentation"):
        D4RLSource("maze2d-umaze-v1", **settings)


def test_the_yaml_has_the_constructor_s_arguments_in_its_order():
    path = Path(diffplan.__file__).parents[1] / "conf" / "source" / "d4rl_source.yaml"
    assert list(yaml.safe_load(path.read_text())) == ["_target_", *inspect.signature(D4RLSource).parameters]
