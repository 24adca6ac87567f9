import pytest
import torch
from torch import nn

from diffplan.errors import HorizonError
from diffplan.method.network.fast.convolution import FrozenConvolution

CONVOLUTIONS = {
    "same": nn.Conv1d(6, 8, 5, padding=2),
    "no bias": nn.Conv1d(6, 8, 5, padding=2, bias=False),
    "one tap": nn.Conv1d(6, 8, 1),
    "halving": nn.Conv1d(6, 8, 3, stride=2, padding=1),
    "doubling": nn.ConvTranspose1d(6, 8, 4, stride=2, padding=1),
    "dilated": nn.Conv1d(6, 8, 3, dilation=2, padding=2),
}


@pytest.mark.parametrize("batch", [1, 10**6])
@pytest.mark.parametrize("length", [1, 2, 4, 9, 32])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_it_equals_the_convolution_in_value_and_gradient(name, length, batch):
    trained = CONVOLUTIONS[name].double()
    features = torch.randn(3, 6, length, dtype=torch.float64, requires_grad=True)
    expected, result = trained(features), FrozenConvolution(trained, length, batch)(features)
    torch.testing.assert_close(result, expected, atol=1e-12, rtol=0)
    weights = torch.randn_like(expected)
    (expected_gradient,) = torch.autograd.grad((expected * weights).sum(), features)
    (gradient,) = torch.autograd.grad((result * weights).sum(), features)
    torch.testing.assert_close(gradient, expected_gradient, atol=1e-12, rtol=0)


def test_wide_short_layers_for_many_candidates_become_products():
    trained = nn.Conv1d(256, 256, 5, padding=2)
    assert len(FrozenConvolution(trained, 4, batch=64).weights) == 8
    assert len(FrozenConvolution(trained, 4, batch=1).weights) == 5
    # Mixing the rows would cost more than it saves.
    assert len(FrozenConvolution(nn.Conv1d(14, 32, 5, padding=2), 32, batch=64).weights) == 5


def test_another_length_is_refused():
    with pytest.raises(HorizonError, match="a layer for 4 rows got 5"):
        FrozenConvolution(CONVOLUTIONS["same"], 4, 1)(torch.randn(1, 6, 5, dtype=torch.float64))
