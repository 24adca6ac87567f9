from contextlib import closing

import numpy as np
import pytest

from diffplan.env.make_env import make_env
from diffplan.env.render import StateRenderer


@pytest.mark.parametrize("env_id", ["hopper-medium-v2", "walker2d-medium-v2", "halfcheetah-medium-v2", "ant-medium-v2"])
def test_places_are_where_the_physics_has_moved_to(env_id):
    """Within 2 cm over 10 steps: velocities change inside a step, of which the sum sees only the ends."""
    env = make_env(env_id)
    observation, _ = env.reset(seed=0)
    observations, truth = [observation], [env.unwrapped.data.qpos[0]]
    for _ in range(10):
        observations.append(env.step(np.full(env.action_space.shape, 0.3))[0])
        truth.append(env.unwrapped.data.qpos[0])
    with closing(StateRenderer(env_id)) as renderer:
        places = renderer.places(np.array(observations))
    np.testing.assert_allclose(places, np.array(truth) - truth[0], atol=0.02)
    assert abs(places[-1]) > 0.002


def test_places_after_the_end_are_unknown():
    observations = np.zeros((4, 11))
    observations[2:] = np.nan
    with closing(StateRenderer("hopper-medium-v2")) as renderer:
        assert np.isnan(renderer.places(observations)).tolist() == [False, False, True, True]


def test_a_picture_shows_the_state_of_the_observation():
    standing = np.array([1.25, *np.zeros(10)])
    bent = np.array([1.0, 0.0, 0.0, -1.5, 0.0, *np.zeros(6)])
    with closing(StateRenderer("hopper-medium-v2")) as renderer:
        pictures = [renderer.picture(observation, 0.0) for observation in (standing, bent, standing)]
    np.testing.assert_array_equal(pictures[0], pictures[2])
    assert (pictures[0] != pictures[1]).any(axis=-1).mean() > 0.01
