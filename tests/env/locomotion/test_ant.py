import numpy as np
import pytest

from diffplan.env.locomotion.bodies import Ant


@pytest.fixture
def env():
    env = Ant()
    env.reset(seed=0)
    return env


def test_an_observation_is_every_position_but_two_every_speed_and_84_zeros(env):
    observation, *_ = env.step(np.full(8, 0.5))
    assert observation.shape == env.observation_space.shape == (111,)
    np.testing.assert_array_equal(observation[:27], np.concatenate([env.data.qpos[2:], env.data.qvel]))
    assert not observation[27:].any()


@pytest.mark.parametrize(
    ("height", "terminated"), [(0.75, False), (0.98, False), (1.03, True), (0.23, False), (0.19, True)]
)
def test_it_ends_when_its_torso_is_low_or_high(env, height, terminated):
    # Without ground, which would lift it out of itself, and with every joint in the middle of its range.
    env.model.geom_contype[:] = env.model.geom_conaffinity[:] = 0
    middle = env.model.jnt_range[1:].mean(axis=1)
    env.set_state(np.concatenate([[0.0, 0.0, height, 1.0, 0.0, 0.0, 0.0], middle]), np.zeros(14))
    _, _, ended, truncated, _ = env.step(np.zeros(8))
    assert ended is terminated
    assert not truncated


def test_the_reward_is_speed_and_one_less_half_the_squared_action_clipped(env):
    for action in np.random.default_rng(0).uniform(-2, 2, (30, 8)):
        before = env.data.body("torso").xpos[0]
        _, reward, *_ = env.step(action)
        speed = (env.data.body("torso").xpos[0] - before) / env.dt
        assert reward == pytest.approx(speed + 1.0 - 0.5 * (np.clip(action, -1, 1) ** 2).sum())


def test_a_torso_is_a_ball_and_its_legs_weigh_as_cylinders(env):
    density, radius = 5.0, 0.08
    # The file's capsules from hip to hip end and from knee to foot.
    short, long = (density * np.pi * radius**2 * (np.hypot(length, length) + radius) for length in (0.2, 0.4))
    assert env.model.body_mass[1] == pytest.approx(density * 4 / 3 * np.pi * 0.25**3)
    assert env.model.body_mass[2:] == pytest.approx([short, short, long] * 4)
