import pytest
import torch
from torch import nn

from diffplan.method.network.fast.convolution import output_length, row_taps

CONVOLUTIONS = {
    "same": nn.Conv1d(1, 1, 5, padding=2),
    "halving": nn.Conv1d(1, 1, 3, stride=2, padding=1),
    "doubling": nn.ConvTranspose1d(1, 1, 4, stride=2, padding=1),
    "dilated": nn.Conv1d(1, 1, 3, dilation=2, padding=1),
    "with output padding": nn.ConvTranspose1d(1, 1, 3, stride=3, padding=1, output_padding=1),
}


@pytest.mark.parametrize("length", [3, 4, 7])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_the_taps_are_the_convolution(name, length):
    convolution, rows = CONVOLUTIONS[name].double(), torch.randn(length, dtype=torch.float64)
    expected = convolution(rows[None, None])[0, 0].detach()
    result = convolution.bias.detach().expand(output_length(convolution, length)).clone()
    for tap in row_taps(convolution, length):
        assert len(rows[tap.inputs]) == tap.num_rows
        result[tap.outputs] += rows[tap.inputs] * convolution.weight[0, 0, tap.index].detach()
    torch.testing.assert_close(result, expected, atol=1e-12, rtol=0)


def test_taps_on_the_padding_alone_are_left_out():
    taps = row_taps(nn.Conv1d(1, 1, 5, padding=2), 1)
    assert [(tap.index, tap.num_rows) for tap in taps] == [(2, 1)]
