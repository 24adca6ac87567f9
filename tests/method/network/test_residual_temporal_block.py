import pytest
import torch
from torch import nn

from diffplan.method.network.blocks import ResidualTemporalBlock


@pytest.mark.parametrize(
    ("in_channels", "out_channels", "expected"), [(14, 32, 9_088), (32, 32, 11_488), (512, 128, 480_256)]
)
def test_it_has_the_released_block_s_size(in_channels, out_channels, expected):
    block = ResidualTemporalBlock(in_channels, out_channels, 32)
    assert sum(parameter.numel() for parameter in block.parameters()) == expected


def test_a_block_that_keeps_its_width_adds_its_input_unchanged():
    block, features = ResidualTemporalBlock(16, 16, 8), torch.randn(2, 16, 5)
    for parameter in block.second.parameters():
        nn.init.zeros_(parameter)
    assert torch.equal(block(features, torch.randn(2, 8)), features)


def test_the_timestep_enters_between_the_two_convolutions():
    block, features, embedding = ResidualTemporalBlock(6, 16, 8), torch.randn(2, 6, 5), torch.randn(2, 8)
    shifted = block.first(features) + block.time(embedding)
    torch.testing.assert_close(block(features, embedding), block.second(shifted) + block.residual(features))
    assert block.time(embedding).shape == (2, 16, 1)
