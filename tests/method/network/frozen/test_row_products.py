import pytest
import torch

from diffplan.method.network.fast.convolution import row_products


@pytest.mark.parametrize("kernel_size", [3, 5, 7])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 8, 16, 32])
def test_the_products_are_the_convolution(length, kernel_size):
    products = row_products(length, kernel_size)
    mapped = torch.einsum("ip,pl,pk->ilk", products.outputs, products.inputs, products.taps)
    expected = torch.zeros(length, length, kernel_size, dtype=torch.float64)
    for row in range(length):
        for tap in range(kernel_size):
            if 0 <= row + tap - kernel_size // 2 < length:
                expected[row, row + tap - kernel_size // 2, tap] = 1
    torch.testing.assert_close(mapped, expected, atol=1e-13, rtol=0)


@pytest.mark.parametrize(("length", "expected"), [(1, 1), (2, 3), (4, 8), (8, 14), (16, 26), (32, 50)])
def test_a_kernel_of_5_takes_few_products(length, expected):
    assert len(row_products(length, 5).inputs) == expected


def test_no_entry_is_large():
    for length in (2, 4, 8, 16):
        products = row_products(length, 5)
        assert max(part.abs().max() for part in (products.inputs, products.taps, products.outputs)) <= 2
