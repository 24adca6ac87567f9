import pytest
import torch
from torch import nn

from diffplan.method.network.fast.blocks import FrozenNormalization


def trained_normalization() -> nn.GroupNorm:
    normalization = nn.GroupNorm(4, 8)
    nn.init.normal_(normalization.weight)
    nn.init.normal_(normalization.bias)
    return normalization.double()


def reference(rows: torch.Tensor, bias: torch.Tensor, normalization: nn.GroupNorm) -> torch.Tensor:
    features = (rows + bias).permute(1, 2, 0)
    return nn.functional.mish(normalization(features)).permute(2, 0, 1)


@pytest.mark.parametrize("length", [1, 2, 6])
def test_it_equals_bias_normalization_and_mish(length):
    torch.manual_seed(0)
    normalization, bias = trained_normalization(), torch.randn(8, dtype=torch.float64)
    rows = torch.randn(length, 3, 8, dtype=torch.float64, requires_grad=True)
    frozen, expected = FrozenNormalization(normalization, bias, length), reference(rows, bias, normalization)
    result, weights = frozen(rows), torch.randn(length, 3, 8, dtype=torch.float64)
    torch.testing.assert_close(result, expected, atol=1e-12, rtol=0)
    with torch.no_grad():
        torch.testing.assert_close(frozen(rows.detach().clone()), expected, atol=1e-12, rtol=0)
    (expected_gradient,) = torch.autograd.grad((expected * weights).sum(), rows)
    (gradient,) = torch.autograd.grad((result * weights).sum(), rows)
    torch.testing.assert_close(gradient, expected_gradient, atol=1e-10, rtol=0)


@pytest.mark.parametrize("gain", [1e-3, 300.0])
def test_no_gain_makes_it_overflow(gain):
    normalization = nn.GroupNorm(4, 8)
    normalization.weight.data.fill_(gain)
    rows = torch.randn(4, 3, 8, requires_grad=True)
    result = FrozenNormalization(normalization, torch.zeros(8), 4)(rows)
    expected = reference(rows, torch.zeros(8), normalization)
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-4)
    (gradient,) = torch.autograd.grad(result.sum(), rows)
    assert gradient.isfinite().all()


def test_equal_rows_have_no_deviation_to_divide_by():
    normalization = nn.GroupNorm(4, 8)
    rows = torch.full((4, 3, 8), 5.0)
    expected = reference(rows, torch.zeros(8), normalization)
    # The mean is off by a rounding, 3e-7, which is divided by the root of the added 1e-5.
    result = FrozenNormalization(normalization, torch.zeros(8), 4)(rows)
    torch.testing.assert_close(result, expected, atol=1e-4, rtol=0)
