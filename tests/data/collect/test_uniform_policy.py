import numpy as np
import pytest

from diffplan.data.collect.uniform_policy import UniformPolicy


def test_actions_are_uniform_and_their_density_is_exact():
    policy, generator = UniformPolicy(3), np.random.default_rng(0)
    choices = [policy.sample(np.zeros(11, np.float32), generator) for _ in range(3000)]
    actions = np.stack([choice.action for choice in choices])
    assert np.abs(actions).max() <= 1.0
    # Five standard errors of the mean and of the variance 1/3 of a uniform variable.
    assert np.abs(actions.mean(axis=0)).max() < 5 * np.sqrt(1 / 3 / 3000)
    assert np.abs(actions.var(axis=0) - 1 / 3).max() < 5 * np.sqrt(4 / 45 / 3000)
    assert choices[0].log_probability == pytest.approx(np.log(1 / 8))
