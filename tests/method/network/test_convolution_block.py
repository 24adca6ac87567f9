import pytest
import torch
from torch.nn import functional

from diffplan.method.network.blocks import ConvolutionBlock


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("horizon", [1, 2, 7])
def test_it_keeps_the_length(kernel_size, horizon):
    assert ConvolutionBlock(3, 16, kernel_size)(torch.randn(2, 3, horizon)).shape == (2, 16, horizon)


def test_statistics_are_taken_over_a_group_of_channels_and_the_whole_time_axis():
    block, features = ConvolutionBlock(3, 16), torch.randn(2, 3, 7)
    convolved = block.convolution(features)
    groups = convolved.reshape(2, 8, -1)
    variance, mean = torch.var_mean(groups, dim=-1, keepdim=True, correction=0)
    expected = functional.mish(((groups - mean) / (variance + 1e-5).sqrt()).reshape(2, 16, 7))
    torch.testing.assert_close(block(features), expected, atol=1e-5, rtol=0)
