from pathlib import Path

import pytest

from diffplan.data.catalog import BASE_URL, cache_dir, catalog, dataset, dataset_url
from diffplan.errors import DataError
from tests.task_facts import TASKS, task_facts


def test_all_published_data_sets_are_known():
    families = [name.split("-")[0] for name in catalog()]
    counts = {family: families.count(family) for family in families}
    assert counts == {
        "maze2d": 6,
        "hopper": 6,
        "halfcheetah": 6,
        "walker2d": 6,
        "ant": 6,
        "antmaze": 6,
        "kitchen": 3,
    }


def test_files_and_hashes_are_distinct():
    entries = catalog().values()
    assert len({entry.url_path for entry in entries}) == len(entries)
    hashes = [entry.sha256 for entry in entries if entry.sha256 is not None]
    assert len(hashes) == len(set(hashes)) == 29
    assert all(len(digest) == 64 and set(digest) <= set("0123456789abcdef") for digest in hashes)


@pytest.mark.parametrize("entry", catalog().values(), ids=lambda entry: entry.name)
def test_every_entry_is_coherent(entry):
    assert entry.file_name.endswith(".hdf5")
    assert {"observations", "actions", "rewards", "terminals"} <= set(entry.keys)
    assert ("timeouts" in entry.keys) is not entry.name.startswith("kitchen")
    assert (entry.num_bytes is None) is (entry.sha256 is None)
    assert entry.reference_max > entry.reference_min
    assert (entry.target is not None) is entry.name.startswith("maze2d")
    widths = {"observation": entry.observation_dim, "action": entry.action_dim, "reward": 1}
    for key, values in entry.statistics.items():
        assert len(values) == widths[key.split("_")[0]]


@pytest.mark.parametrize("name", TASKS)
def test_tasks_state_the_facts_of_the_catalogue(name):
    task = task_facts(name)
    assert task["name"] == name
    if name not in catalog():
        assert name.startswith("maze2d-open")
        return
    entry = dataset(name)
    for key in ("observation_dim", "action_dim", "max_episode_steps", "reference_min", "reference_max"):
        assert task[key] == getattr(entry, key)
    assert (task["target"] and list(task["target"])) == entry.target


def test_tasks_are_found():
    assert "maze2d-umaze-v1" in TASKS


def test_an_unknown_name_suggests_close_ones():
    with pytest.raises(DataError, match="no D4RL data set 'hoper-medium-v2'; did you mean 'hopper-medium-v2'"):
        dataset("hoper-medium-v2")
    with pytest.raises(DataError, match=r"'xyz'; `diffplan data list` shows all of them\."):
        dataset("xyz")


def test_the_base_address_can_be_a_mirror(monkeypatch):
    entry = dataset("maze2d-umaze-v1")
    monkeypatch.delenv("D4RL_BASE_URL", raising=False)
    assert dataset_url(entry) == f"{BASE_URL}maze2d/maze2d-umaze-sparse-v1.hdf5"
    monkeypatch.setenv("D4RL_BASE_URL", "http://mirror/d4rl/")
    assert dataset_url(entry) == "http://mirror/d4rl/maze2d/maze2d-umaze-sparse-v1.hdf5"
    assert dataset_url(entry, "http://other") == "http://other/maze2d/maze2d-umaze-sparse-v1.hdf5"


def test_the_cache_is_d4rl_s_own(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("D4RL_DATASET_DIR", raising=False)
    assert cache_dir() == Path("/home/someone/.d4rl/datasets")
    monkeypatch.setenv("D4RL_DATASET_DIR", "~/elsewhere")
    assert cache_dir() == Path("/home/someone/elsewhere")
