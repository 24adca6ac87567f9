import numpy as np

from diffplan.data.collect.single_precision import single_precision
from diffplan.env.make_env import make_env


def test_observations_and_their_space_are_single_precision():
    env, plain = single_precision(make_env("hopper-medium-v2")), make_env("hopper-medium-v2")
    assert env.observation_space.dtype == np.float32
    observation, before = env.reset(seed=3)[0], plain.reset(seed=3)[0]
    assert observation.dtype == np.float32
    np.testing.assert_array_equal(observation, before.astype(np.float32))
    assert observation in env.observation_space
    env.close()
    plain.close()
