import pytest
import torch

from diffplan.method.network.blocks import TemporalAttention
from diffplan.method.network.fast.blocks import FrozenAttention


@pytest.mark.parametrize("length", [1, 4, 40])
def test_it_equals_the_trained_layer_in_either_order_of_products(length):
    trained, features = TemporalAttention(16).double(), torch.randn(3, 16, length, dtype=torch.float64)
    frozen = FrozenAttention(trained, length, 64)
    assert frozen.pairs_of_rows == (length < 32)
    torch.testing.assert_close(frozen(features), trained(features), atol=1e-12, rtol=0)
