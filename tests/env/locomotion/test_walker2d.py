import numpy as np
import pytest

from diffplan.env.locomotion.bodies import Walker2d


@pytest.fixture
def env():
    env = Walker2d()
    env.reset(seed=0)
    return env


@pytest.mark.parametrize(
    ("height", "lean", "terminated"),
    [
        (1.25, 0.0, False),
        (0.81, 0.0, False),
        (0.79, 0.0, True),
        (2.01, 0.0, True),
        (1.6, 0.98, False),
        (1.6, 1.02, True),
    ],
)
def test_it_ends_when_it_is_low_or_high_or_leans(env, height, lean, terminated):
    # Without ground, which would lift it out of itself.
    env.model.geom_contype[:] = env.model.geom_conaffinity[:] = 0
    env.set_state(np.array([0.0, height, lean] + [0.0] * 6), np.zeros(9))
    _, reward, ended, truncated, _ = env.step(np.zeros(6))
    assert ended is terminated
    assert not truncated
    # Paid on the step of the fall too.
    assert reward == pytest.approx(1.0 + env.data.qpos[0] / env.dt)


def test_the_feet_have_unequal_friction_as_in_the_file_of_version_2(env):
    assert env.model.geom("foot_geom").friction[0] == 0.9
    assert env.model.geom("foot_left_geom").friction[0] == 1.9


def test_an_observation_has_every_position_but_the_first_and_speeds_clipped_to_ten(env):
    env.set_state(env.data.qpos.copy(), np.array([0.0] * 8 + [-40.0]))
    observation, *_ = env.step(np.zeros(6))
    np.testing.assert_array_equal(observation, np.concatenate([env.data.qpos[1:], np.clip(env.data.qvel, -10, 10)]))
    assert observation.min() == -10


def test_a_step_is_eight_milliseconds(env):
    assert env.dt == pytest.approx(0.008)
