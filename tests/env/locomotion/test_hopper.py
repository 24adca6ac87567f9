import numpy as np
import pytest

from diffplan.env.locomotion.bodies import Hopper


@pytest.fixture
def env():
    env = Hopper()
    env.reset(seed=0)
    return env


def after_one_step_from(env, height=1.25, lean=0.0, speed=0.0):
    """Sets a state at rest but for one joint's speed, and takes a step without torque or ground."""
    env.model.geom_contype[:] = env.model.geom_conaffinity[:] = 0
    env.set_state(np.array([0.0, height, lean, 0.0, 0.0, 0.0]), np.array([0.0] * 5 + [speed]))
    return env.step(np.zeros(3))


@pytest.mark.parametrize(
    ("state", "terminated"),
    [
        ({}, False),
        ({"height": 0.71}, False),
        ({"height": 0.69}, True),
        ({"lean": 0.19}, False),
        ({"lean": 0.21}, True),
        ({"lean": -0.21}, True),
    ],
)
def test_it_ends_when_it_is_low_or_leans(env, state, terminated):
    _, reward, ended, truncated, _ = after_one_step_from(env, **state)
    assert ended is terminated
    assert not truncated
    # Paid on the step of the fall too.
    assert reward == pytest.approx(1.0 + env.data.qpos[0] / env.dt)


def test_an_observation_has_every_position_but_the_first_and_speeds_clipped_to_ten(env):
    observation, *_ = after_one_step_from(env, speed=30.0)
    np.testing.assert_array_equal(observation[:5], env.data.qpos[1:])
    assert env.data.qvel[5] > 10
    np.testing.assert_array_equal(observation[5:], np.clip(env.data.qvel, -10, 10))


def test_the_cost_of_an_action_is_that_of_the_clipped_one(env):
    rewards = []
    for action in (np.array([1.0, -1.0, 0.5]), np.array([7.0, -1.5, 0.5])):
        env.reset(seed=0)
        _, reward, *_ = env.step(action)
        rewards.append(reward)
        assert env.data.ctrl.tolist() == [1.0, -1.0, 0.5]
    assert rewards[0] == rewards[1]
    before = Hopper()
    before.reset(seed=0)
    forward = (env.data.qpos[0] - before.data.qpos[0]) / env.dt
    assert rewards[0] == pytest.approx(forward + 1.0 - 1e-3 * 2.25)


def test_a_step_is_eight_milliseconds(env):
    assert env.dt == pytest.approx(0.008)
