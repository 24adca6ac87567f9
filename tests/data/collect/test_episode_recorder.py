import gymnasium
import numpy as np
import pytest

from diffplan.data.collect.episode_recorder import EpisodeRecorder, episode_returns, join
from diffplan.data.collect.policies import PolicyAction, UniformPolicy
from diffplan.env.make_env import make_env

SEED = np.random.SeedSequence([0, 1])


@pytest.fixture(scope="module")
def hopper():
    env = make_env("hopper-medium-v2")
    yield env
    env.close()


def test_rows_follow_one_another_and_match_the_simulator(hopper):
    rows = EpisodeRecorder(hopper).play(UniformPolicy(3), SEED)
    assert len(rows["rewards"]) > 5
    np.testing.assert_array_equal(rows["observations"][1:], rows["next_observations"][:-1])
    # An observation is the positions without the root's x, then the velocities, clipped at 10.
    np.testing.assert_array_equal(rows["observations"][:, :5], rows["infos/qpos"][:, 1:])
    np.testing.assert_array_equal(rows["observations"][:, 5:], np.clip(rows["infos/qvel"], -10, 10))
    np.testing.assert_allclose(rows["infos/action_log_probs"], 3 * np.log(0.5), rtol=1e-6)
    assert rows["terminals"].tolist() == [False] * (len(rows["rewards"]) - 1) + [True]
    assert not rows["timeouts"].any()
    assert {rows[key].dtype.name for key in rows} == {"float32", "bool"}


def test_a_row_replays_from_its_stored_state(hopper):
    rows = EpisodeRecorder(hopper).play(UniformPolicy(3), SEED)
    for row in range(0, len(rows["rewards"]), 3):
        hopper.reset(seed=0)
        hopper.unwrapped.set_state(
            rows["infos/qpos"][row].astype(np.float64), rows["infos/qvel"][row].astype(np.float64)
        )
        after, reward, *_ = hopper.step(rows["actions"][row])
        # The state is stored in single precision.
        np.testing.assert_allclose(after, rows["next_observations"][row], atol=2e-4)
        assert reward == pytest.approx(float(rows["rewards"][row]), abs=2e-4)


def test_a_seed_gives_the_same_episode(hopper):
    first, second = (EpisodeRecorder(hopper).play(UniformPolicy(3), SEED) for _ in range(2))
    for key in first:
        np.testing.assert_array_equal(first[key], second[key])


class EndAtOnce(gymnasium.Wrapper):
    """Terminates and is cut off in the same step."""

    def step(self, action):
        observation, reward, _, _, info = self.env.step(action)
        return observation, reward, True, True, info


class ListenedPolicy:
    """Says what it was asked."""

    def __init__(self) -> None:
        self.observations = []

    def sample(self, observation, generator):
        self.observations.append(observation)
        return PolicyAction(np.zeros(3, np.float32), 0.0)


def test_the_time_limit_takes_precedence_over_a_terminal(hopper):
    rows = EpisodeRecorder(EndAtOnce(hopper)).play(UniformPolicy(3), SEED)
    assert rows["timeouts"].tolist() == [True]
    assert rows["terminals"].tolist() == [False]


def test_the_policy_sees_what_is_stored(hopper):
    policy = ListenedPolicy()
    rows = EpisodeRecorder(hopper).play(policy, SEED)
    np.testing.assert_array_equal(np.stack(policy.observations), rows["observations"])


def test_observations_and_their_space_are_single_precision(hopper):
    recorder = EpisodeRecorder(hopper)
    before, observation = hopper.reset(seed=3)[0], recorder.reset(seed=3)[0]
    assert recorder.observation_space.dtype == observation.dtype == np.float32
    np.testing.assert_array_equal(observation, before.astype(np.float32))
    assert observation in recorder.observation_space


def test_what_another_loop_plays_is_recorded_with_the_density_it_is_given(hopper):
    recorder = EpisodeRecorder(hopper)
    recorder.log_probability = lambda observation, action: float(observation[0] + action[0])
    first = recorder.reset(seed=0)[0]
    action = np.array([0.5, 0.0, 0.0], np.float32)
    second, reward, terminated, truncated, _ = recorder.step(action)
    rows = recorder.take()
    np.testing.assert_array_equal(rows["observations"], [first])
    np.testing.assert_array_equal(rows["next_observations"], [second])
    assert rows["infos/action_log_probs"] == pytest.approx([first[0] + 0.5])
    assert (rows["rewards"][0], terminated, truncated) == (np.float32(reward), False, False)


def test_returns_are_those_of_whole_episodes(hopper):
    recorder = EpisodeRecorder(hopper)
    episodes = [recorder.play(UniformPolicy(3), seed) for seed in SEED.spawn(3)]
    returns = episode_returns(join(episodes))
    np.testing.assert_allclose(returns, [episode["rewards"].sum() for episode in episodes], rtol=1e-5)
