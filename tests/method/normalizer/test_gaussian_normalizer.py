import numpy as np
import torch

from diffplan.method.normalizer import GaussianNormalizer


def test_mean_and_population_deviation_are_exact():
    normalizer = GaussianNormalizer(2)
    normalizer.fit(np.array([[1.0, 0.0], [3.0, 10.0]], dtype=np.float32))
    assert normalizer.offset.tolist() == [2.0, 5.0]
    # The population deviation: the sample's would be the root of two times as large.
    assert normalizer.scale.tolist() == [1.0, 5.0]


def test_a_small_spread_around_a_large_mean_is_not_lost_to_rounding():
    rows = (1000.0 + np.tile([-0.25, 0.25], 100_000))[:, None].astype(np.float32)
    normalizer = GaussianNormalizer(1)
    normalizer.fit(rows)
    assert normalizer.offset.item() == 1000.0
    assert normalizer.scale.item() == 0.25


def test_nothing_is_clipped():
    normalizer = GaussianNormalizer(1)
    normalizer.fit(np.array([[-1.0], [1.0]], dtype=np.float32))
    assert normalizer.unnormalize(torch.tensor([[7.0]])).item() == 7.0
