import sys

import numpy as np
import pytest
from stable_baselines3 import SAC

from diffplan.data.collect.locomotion_collection import LocomotionCollection
from diffplan.data.collect.locomotion_recipe import LocomotionRecipe
from diffplan.data.collect.sac_training import SacTraining
from diffplan.data.source.d4rl_file import read_d4rl_file, summarize
from diffplan.data.source.d4rl_source import D4RLSource
from diffplan.env.make_env import make_env
from diffplan.errors import ConfigError, DataError, TaskMismatchError

# Any policy is medium, and nothing learns much: what is tested is the way from settings to file.
TINY = {
    "medium_score": -100.0,
    "train_steps": 90,
    "hidden_width": 8,
    "batch_size": 4,
    "learning_starts": 20,
    "evaluate_every": 40,
    "evaluation_episodes": 1,
}


def collected(name, folder, **arguments) -> LocomotionCollection:
    collection = LocomotionCollection(LocomotionRecipe(name, **{**TINY, **arguments}), str(folder))
    collection.prepare()
    return collection


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One folder for all kinds, so that they share a training."""
    return tmp_path_factory.mktemp("data")


def test_medium_expert_is_whole_episodes_of_medium_and_then_of_expert(folder):
    path = collected("hopper-medium-expert-v2", folder, num_transitions=400).path
    source = D4RLSource("hopper-medium-expert-v2", path=str(path), observation_dim=11, action_dim=3)
    source.prepare()
    episodes = list(source.episodes())
    said = summarize(path).metadata
    assert all(episode.terminated for episode in episodes)
    assert len(episodes) == said["num_episodes"] == said["medium/num_episodes"] + said["expert/num_episodes"]
    assert sum(map(len, episodes)) == said["num_transitions"]
    assert 100 < said["medium/num_transitions"] <= 200
    assert 100 < said["expert/num_transitions"] <= 200
    assert said["expert/step"] > said["medium/step"]
    returns = [float(episode.rewards.sum()) for episode in episodes]
    assert said["return_mean"] == pytest.approx(np.mean(returns), rel=1e-5)
    assert said["return_max"] == pytest.approx(max(returns), rel=1e-5)
    assert said["normalized_score_mean"] == pytest.approx(100 * (np.mean(returns) + 20.27) / 3254.57, abs=0.01)
    assert source.identity().kind == "collected"


@pytest.mark.parametrize("kind", ["random", "medium", "medium-replay", "medium-expert", "expert"])
def test_every_kind_has_d4rls_arrays_and_says_that_it_is_not_d4rls(folder, kind):
    rows = None if kind == "medium-replay" else 300
    collection = collected(f"hopper-{kind}-v2", folder, num_transitions=rows)
    arrays = summarize(collection.path).arrays
    assert set(collection.recipe.entry.keys) == set(arrays)
    assert {dtype for _, dtype in arrays.values()} == {"float32", "bool"}
    said = summarize(collection.path).metadata
    assert "not D4RL's own data" in said["generator"]
    assert said["name"] == collection.recipe.name
    assert D4RLSource(collection.recipe.name, path=str(collection.path)).identity().kind == "collected"
    assert [part.name for part in (folder / "policies").iterdir()] == ["hopper-v2-seed0"] or kind == "random"


def test_medium_replay_is_what_was_played_until_medium(folder):
    collection = collected("hopper-medium-replay-v2", folder)
    training = SacTraining(collection.recipe, folder / "policies" / "hopper-v2-seed0")
    rows = training.rows(training.milestones[0])
    np.testing.assert_array_equal(read_d4rl_file(collection.path).observations, rows["observations"])
    assert summarize(collection.path).metadata["replay/step"] == len(rows["rewards"])


def test_two_folders_get_the_same_bytes(folder, tmp_path):
    first = collected("hopper-medium-v2", folder, num_transitions=100)
    second = collected("hopper-medium-v2", tmp_path, num_transitions=100)
    assert first.path.name == second.path.name
    assert first.path.read_bytes() == second.path.read_bytes()


def test_a_longer_set_begins_with_a_shorter_one(folder):
    short, long = (
        read_d4rl_file(collected("hopper-random-v2", folder, num_transitions=rows).path) for rows in (100, 200)
    )
    np.testing.assert_array_equal(long.observations[: len(short)], short.observations)
    assert short.terminals[-1]


def test_a_file_that_is_there_is_not_made_again(folder, monkeypatch):
    collection = collected("hopper-expert-v2", folder, num_transitions=100)
    before = collection.path.stat()
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    collection.prepare()
    assert collection.path.stat().st_mtime_ns == before.st_mtime_ns


def test_a_training_that_never_reaches_medium_is_reported(folder):
    with pytest.raises(DataError, match=r"scored .* at best in \d+ steps, but medium needs 99; train longer with"):
        collected("hopper-medium-v2", folder, medium_score=99.0)
    assert not list((folder / "collected").glob("[!.]*-1000000-*"))


def test_rows_that_no_episode_fits_in_are_refused(folder):
    with pytest.raises(ConfigError, match="--rows leaves 2 to the random policy, but its first episode took"):
        collected("hopper-random-v2", folder, num_transitions=2)


def save_policy(path, env_id="hopper-medium-v2"):
    env = make_env(env_id)
    SAC("MlpPolicy", env, buffer_size=10, policy_kwargs={"net_arch": [8]}, seed=0).save(path)
    env.close()
    return path


def test_a_policy_that_is_given_is_played_without_training(tmp_path, monkeypatch):
    policy = save_policy(tmp_path / "policy.zip")
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    collection = collected("hopper-expert-v2", tmp_path, num_transitions=100, policy_paths={"expert": policy})
    said = summarize(collection.path).metadata
    assert len(said["expert/policy_sha256"]) == 64
    assert not [key for key in said if key.startswith("training/")]
    assert not (tmp_path / "policies").exists()


def test_a_policy_of_another_body_is_refused(tmp_path):
    policy = save_policy(tmp_path / "policy.zip", "Pendulum-v1")
    with pytest.raises(TaskMismatchError, match=r"'hopper-expert-v2' has observation_dim=11 .* has 3 and 1"):
        collected("hopper-expert-v2", tmp_path, policy_paths={"expert": policy})
