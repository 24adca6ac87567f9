import pytest
import torch

from diffplan.method.network.blocks import ConvolutionBlock
from diffplan.method.network.fast.blocks import FrozenConvolutionBlock


@pytest.mark.parametrize("length", [1, 4, 20])
def test_it_equals_the_trained_block(length):
    trained, features = ConvolutionBlock(6, 16).double(), torch.randn(3, 6, length, dtype=torch.float64)
    frozen = FrozenConvolutionBlock(trained, length, 64)
    torch.testing.assert_close(frozen(features), trained(features), atol=1e-12, rtol=0)
