import numpy as np

from diffplan.data.inspection import column_statistics
from diffplan.data.source.d4rl_file import D4RLArrays


def test_every_column_is_described(five_episodes):
    statistics = column_statistics(D4RLArrays(**five_episodes, metadata={}))
    np.testing.assert_allclose(statistics["observation_mean"], [22.0, 23.0, 24.0, 25.0])
    np.testing.assert_allclose(statistics["action_min"], [-44.0, -45.0])
    np.testing.assert_allclose(statistics["reward_max"], [11.0])
    # Twelve equidistant values 0..11 have the population variance (12^2 - 1) / 12.
    np.testing.assert_allclose(statistics["reward_std"], [np.sqrt(143 / 12)])
    assert len(statistics) == 12


def test_large_offsets_keep_their_small_deviation(five_episodes):
    five_episodes["rewards"] = np.tile(np.array([4096.0, 4097.0], dtype=np.float32), 6)
    statistics = column_statistics(D4RLArrays(**five_episodes, metadata={}))
    np.testing.assert_allclose(statistics["reward_std"], [0.5], rtol=1e-12)
