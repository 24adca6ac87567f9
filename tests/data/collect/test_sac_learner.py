import io
import sys
from functools import partial

import numpy as np
import pytest
import torch

from diffplan.data.collect.sac_learner import SacLearner, private_random_state
from diffplan.data.collect.sac_settings import SacSettings
from diffplan.env.episode_recorder import EpisodeRecorder
from diffplan.env.make_env import make_env
from diffplan.errors import ConfigError

SETTINGS = SacSettings("hopper-medium-v2", hidden_width=8, batch_size=4, learning_starts=10)


@pytest.fixture(scope="module")
def env():
    env = make_env("hopper-medium-v2")
    yield env
    env.close()


def play(env, learner, indices):
    recorder = EpisodeRecorder(env)
    rows = []
    for index in indices:
        learner.reseed(np.random.SeedSequence(index))
        rows.append(recorder.play(learner, np.random.SeedSequence([9, index]), learner.learn))
    return rows


def test_a_learner_that_was_saved_goes_on_as_if_it_had_not_been(env):
    with private_random_state():
        first = SacLearner(SETTINGS)
        before = play(env, first, range(4))
        state = first.state()
        state["log_ent_coef"] = state["log_ent_coef"].clone()
        second = SacLearner(SETTINGS)
        for episode in before:
            for index in range(len(episode["rewards"])):
                second.remember({key: array[index] for key, array in episode.items()})
        second.load_state(torch.load(_saved(state), weights_only=True))
        assert second.num_rows == first.num_rows > 20
        play(env, first, range(4, 7))
        play(env, second, range(4, 7))
    for name, weights in first.actor().items():
        np.testing.assert_array_equal(weights, second.actor()[name])
    assert torch.equal(first.state()["log_ent_coef"], second.state()["log_ent_coef"])


def _saved(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return buffer


def test_nothing_is_learned_before_its_time(env):
    with private_random_state():
        learner = SacLearner(SacSettings("hopper-medium-v2", hidden_width=8, learning_starts=10_000))
        before = learner.actor()
        (rows,) = play(env, learner, [0])
    np.testing.assert_allclose(rows["infos/action_log_probs"], 3 * np.log(0.5), rtol=1e-6)
    for name, weights in learner.actor().items():
        np.testing.assert_array_equal(weights, before[name])


def test_global_random_states_are_put_back(env, request):
    request.addfinalizer(partial(torch.set_num_threads, torch.get_num_threads()))
    torch.set_num_threads(2)
    states = np.random.get_state()[1].copy(), torch.get_rng_state(), torch.get_num_threads()
    with private_random_state():
        play(env, SacLearner(SETTINGS), [0])
        assert torch.get_num_threads() == 1
    np.testing.assert_array_equal(np.random.get_state()[1], states[0])
    assert torch.equal(torch.get_rng_state(), states[1])
    assert torch.get_num_threads() == states[2]


def test_a_missing_library_is_named_with_its_command(env, monkeypatch):
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(
        ConfigError, match=r"needs the package stable-baselines3; install it with .pip install diffplan"
    ):
        SacLearner(SETTINGS)
