import json
import os
import subprocess
import sys
from pathlib import Path

import gymnasium
import h5py
import minari
import numpy as np
import pytest
from minari.data_collector import EpisodeBuffer

import diffplan
from diffplan.data.source.minari_source import MinariSource
from diffplan.errors import DataError, DataNotFoundError, DownloadError, TaskMismatchError

BOX = gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float64)
ACTIONS = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
LENGTHS = (4, 6, 3)


def rows(episode: int, count: int, width: int) -> np.ndarray:
    return 100.0 * episode + np.arange(count * width, dtype=np.float64).reshape(count, width)


def buffers(make_observations) -> list[EpisodeBuffer]:
    """Episodes of 4, 6 and 3 steps; the second one terminates."""
    return [
        EpisodeBuffer(
            id=episode,
            observations=make_observations(episode, length + 1),
            actions=np.full((length, 2), episode / 10, dtype=np.float32),
            rewards=np.arange(length, dtype=np.float64),
            terminations=np.arange(length) == (length - 1 if episode == 1 else -1),
            truncations=np.arange(length) == (length - 1 if episode != 1 else -1),
        )
        for episode, length in enumerate(LENGTHS)
    ]


def create(dataset_id, episodes, space) -> None:
    with pytest.warns(UserWarning, match="eval_env|env_spec"):
        minari.create_dataset_from_buffers(
            dataset_id,
            episodes,
            observation_space=space,
            action_space=ACTIONS,
            algorithm_name="test",
            author="test",
            author_email="test@example.com",
            code_permalink="https://example.com",
            description="test",
            data_format="hdf5",
        )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    return tmp_path


@pytest.fixture
def vectors(folder):
    create("test/vectors-v0", buffers(lambda episode, count: list(rows(episode, count, 3))), BOX)
    return MinariSource("test/vectors-v0", observation_dim=3, action_dim=2)


@pytest.fixture
def goals(folder):
    space = gymnasium.spaces.Dict({"observation": BOX, "desired_goal": gymnasium.spaces.Box(-9.0, 9.0, (2,))})

    def observations(episode, count):
        goal = np.full((count, 2), episode, dtype=np.float32)
        return {"observation": rows(episode, count, 3), "desired_goal": goal}

    create("test/goals-v0", buffers(observations), space)
    return "test/goals-v0"


def test_episodes_lose_the_observation_after_the_last_action(vectors):
    vectors.prepare()
    episodes = list(vectors.episodes())
    assert [len(episode) for episode in episodes] == list(LENGTHS)
    for number, (episode, length) in enumerate(zip(episodes, LENGTHS, strict=True)):
        np.testing.assert_array_equal(episode.observations, rows(number, length + 1, 3)[:length].astype(np.float32))
        np.testing.assert_array_equal(episode.rewards, np.arange(length, dtype=np.float32))
        np.testing.assert_array_equal(episode.actions, np.full((length, 2), number / 10, dtype=np.float32))


def test_termination_and_truncation_are_told_apart(vectors):
    episodes = list(vectors.episodes())
    assert [episode.terminated for episode in episodes] == [False, True, False]
    assert [episode.truncated for episode in episodes] == [True, False, True]


def test_a_dictionary_gives_its_observation(goals):
    episodes = list(MinariSource(goals, observation_dim=3).episodes())
    assert [len(episode) for episode in episodes] == list(LENGTHS)
    np.testing.assert_array_equal(episodes[2].observations, rows(2, 4, 3)[:3].astype(np.float32))


def test_entries_of_a_dictionary_are_joined_in_the_order_asked_for(goals):
    source = MinariSource(goals, observation_keys=["desired_goal", "observation"], observation_dim=5)
    observations = list(source.episodes())[1].observations
    np.testing.assert_array_equal(observations[:, :2], np.ones((6, 2), dtype=np.float32))
    np.testing.assert_array_equal(observations[:, 2:], rows(1, 7, 3)[:6].astype(np.float32))


def test_an_absent_entry_is_reported_with_those_there_are(goals):
    source = MinariSource(goals, observation_keys=["state"])
    with pytest.raises(DataError, match=r"no entry 'state', they have .*observation.*source\.observation_keys"):
        list(source.episodes())


def test_the_identity_is_that_of_the_numbers(vectors, goals):
    identity = vectors.identity()
    assert (identity.name, identity.kind, identity.num_transitions) == ("test/vectors-v0", "minari", sum(LENGTHS))
    # The same numbers stored as a dictionary have the same hash, other columns another one.
    assert MinariSource(goals).identity().sha256 == identity.sha256
    assert MinariSource(goals, observation_keys=["desired_goal"]).identity().sha256 != identity.sha256


def test_the_folder_can_be_given(vectors, folder, monkeypatch, tmp_path_factory):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path_factory.mktemp("empty")))
    with pytest.raises(DataNotFoundError):
        vectors.prepare()
    source = MinariSource("test/vectors-v0", data_dir=str(folder))
    source.prepare()
    assert len(list(source.episodes())) == 3


def test_a_data_set_that_is_not_there_is_reported_with_the_command_that_gets_it(folder):
    source = MinariSource("D4RL/pointmaze/umaze-v2")
    for action in (source.prepare, lambda: list(source.episodes())):
        with pytest.raises(DataNotFoundError, match="minari download D4RL/pointmaze/umaze-v2"):
            action()


def test_a_server_that_cannot_be_reached_is_reported_and_the_environment_restored(folder, monkeypatch):
    monkeypatch.setenv("MINARI_REMOTE", "hf://nobody/nothing")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    source = MinariSource("nobody/nothing-v0", data_dir=str(folder / "elsewhere"), download=True)
    with pytest.raises(DownloadError, match="Minari could not download 'nobody/nothing-v0'"):
        source.prepare()
    assert os.environ["MINARI_DATASETS_PATH"] == str(folder)


@pytest.mark.parametrize(("name", "value"), [("observation_dim", 4), ("action_dim", 3)])
def test_wrong_dimensions_are_reported_with_both_numbers(vectors, name, value):
    source = MinariSource("test/vectors-v0", **{name: value})
    with pytest.raises(TaskMismatchError, match=f"{name}={value} but 'test/vectors-v0' has {value - 1}"):
        list(source.episodes())


def test_values_that_are_not_finite_are_reported_with_their_episode(folder):
    episodes = buffers(lambda episode, count: list(rows(episode, count, 3)))
    episodes[1].rewards[2] = np.nan
    create("test/broken-v0", episodes, BOX)
    with pytest.raises(DataError, match="Episode 1 of 'test/broken-v0' must hold finite rewards"):
        list(MinariSource("test/broken-v0").episodes())


def test_a_truncated_file_is_reported(vectors, folder):
    path = folder / "test" / "vectors-v0" / "data" / "main_data.hdf5"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"'test/vectors-v0' in .* is damaged"):
        list(vectors.episodes())


def change_metadata(folder, **changes):
    path = folder / "test" / "vectors-v0" / "data" / "metadata.json"
    metadata = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in metadata.items() if value is not None}))


def test_environments_that_a_data_set_names_are_not_made(vectors, folder, tmp_path):
    marker = tmp_path / "marker"
    spec = {"id": "Evil-v0", "entry_point": "builtins:open", "kwargs": {"file": str(marker), "mode": "w"}}
    # Without the spaces, minari would make the environment to ask it for them.
    change_metadata(folder, observation_space=None, action_space=None, env_spec=json.dumps(spec))
    assert [len(episode) for episode in vectors.episodes()] == list(LENGTHS)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"total_episodes": 10**9}, "its total_episodes must be a number from 1 to 1,000,000, got 1000000000"),
        ({"total_episodes": "3"}, "its total_episodes must be"),
        ({"total_episodes": None}, "its total_episodes must be"),
        ({"total_episodes": 5}, "it declares 5 episodes but stores 3"),
        ({"data_format": "arrow"}, "its data_format must be hdf5, got arrow"),
    ],
)
def test_metadata_that_do_not_fit_are_named(vectors, folder, changes, sentence):
    change_metadata(folder, **changes)
    with pytest.raises(DataError, match=rf"'test/vectors-v0' in .* is damaged \({sentence}"):
        list(vectors.episodes())


@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b"\xff", b"[]", b"7"])
def test_metadata_that_are_none_are_one_sentence(vectors, folder, content):
    (folder / "test" / "vectors-v0" / "data" / "metadata.json").write_bytes(content)
    with pytest.raises(DataError, match="is damaged"):
        list(vectors.episodes())


def remove(file, key):
    del file[key]


def link(file, key):
    del file[key]
    file[key] = h5py.ExternalLink("/etc/passwd", "/x")


def text(file, key):
    del file[key]
    file[key] = np.array([b"one"] * 6)


def long(file, key):
    rows = file[key].shape
    del file[key]
    file.create_dataset(key, (2_000_000_000, *rows[1:]), "f4")


@pytest.mark.parametrize("change", [remove, link, text, long])
@pytest.mark.parametrize("key", ["observations", "actions", "rewards", "terminations"])
def test_a_damaged_episode_is_one_sentence(vectors, folder, change, key):
    with h5py.File(folder / "test" / "vectors-v0" / "data" / "main_data.hdf5", "r+") as file:
        change(file, f"episode_1/{key}")
    with pytest.raises(DataError, match="test/vectors-v0"):
        list(vectors.episodes())


def test_an_episode_without_steps_is_reported(vectors, folder):
    with h5py.File(folder / "test" / "vectors-v0" / "data" / "main_data.hdf5", "r+") as file:
        for key in ("rewards", "terminations"):
            del file[f"episode_1/{key}"]
            file[f"episode_1/{key}"] = np.zeros(0)
    with pytest.raises(DataError, match="Episode 1 of 'test/vectors-v0' must hold one reward and one termination"):
        list(vectors.episodes())


def test_without_minari_the_error_says_how_to_install_it():
    code = (
        "import sys; sys.modules['minari'] = None\n"
        "from diffplan.data.source.minari_source import MinariSource\n"
        "from diffplan.errors import ConfigError\n"
        "try: MinariSource('x')\n"
        "except ConfigError as error: print(error)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(diffplan.__file__).parents[1]
    )
    assert "pip install diffplan[minari]" in result.stdout
