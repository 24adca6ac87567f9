import numpy as np
import pytest
import torch

from diffplan.method.normalizer import LimitsNormalizer


@pytest.fixture
def normalizer():
    normalizer = LimitsNormalizer(2)
    normalizer.fit(np.array([[0.0, -2.0], [1.0, 6.0], [4.0, 0.0]], dtype=np.float32))
    return normalizer


def test_the_range_of_the_data_becomes_minus_one_to_one(normalizer):
    ends = torch.tensor([[0.0, -2.0], [4.0, 6.0], [2.0, 2.0]])
    assert normalizer.normalize(ends).tolist() == [[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0]]


def test_each_value_is_clipped_on_its_own_on_the_way_back(normalizer):
    planned = torch.tensor([[1.00005, 0.5], [-3.0, 2.0], [0.25, -0.5]])
    # The first value is within the original's tolerance and still is clipped; its neighbours stay as they are.
    assert normalizer.unnormalize(planned).tolist() == [[4.0, 4.0], [0.0, 6.0], [2.5, 0.0]]


def test_values_outside_the_data_s_range_are_not_clipped_on_the_way_in(normalizer):
    assert normalizer.normalize(torch.tensor([[6.0, 10.0]])).tolist() == [[2.0, 2.0]]
