"""Short convolutions with fewer multiplications than taps times rows."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class RowProducts:
    """A convolution over rows as few matrix products between mixtures of rows and mixtures of taps.

    With rows ``x``, taps ``w`` and the three mixing matrices, output row i is
    ``sum_p outputs[i, p] * (sum_l inputs[p, l] x[l]) @ (sum_k taps[p, k] w[k])``. The second bracket is constant
    once the weights are.

    Attributes:
        inputs: Mixes input rows, one mixture a product.
        taps: Mixes taps.
        outputs: Mixes products into output rows.
    """

    inputs: Float[Tensor, "product length"]
    taps: Float[Tensor, "product tap"]
    outputs: Float[Tensor, "length product"]


def row_products(length: int, kernel_size: int) -> RowProducts:
    """Returns the products of a convolution that keeps the length: odd kernel, stride 1, zero padding.

    One row needs 1 product, two need 3 (Karatsuba), more are a cyclic convolution over as many rows as keep the
    padding's zeros, in the frequency domain: a real product for the constant and the alternating component and three
    for each complex pair. The matrices' entries are at most 2, so nothing is lost to rounding.

    Args:
        length: Rows in and out.
        kernel_size: Odd.

    Reference: Winograd, Arithmetic Complexity of Computations, 1980 (over the reals no cyclic convolution needs fewer).
    """
    half = kernel_size // 2
    if length == 1:
        taps = torch.zeros(1, kernel_size, dtype=torch.float64)
        taps[0, half] = 1
        return RowProducts(torch.ones(1, 1, dtype=torch.float64), taps, torch.ones(1, 1, dtype=torch.float64))
    if length == 2 and half:
        return _two_rows(kernel_size)
    return _cyclic(length, kernel_size)


def _two_rows(kernel_size: int) -> RowProducts:
    """y0 = w0 (x0 + x1) + (w+ - w0) x1 and y1 = w0 (x0 + x1) + (w- - w0) x0."""
    half = kernel_size // 2
    taps = torch.zeros(3, kernel_size, dtype=torch.float64)
    taps[:, half] = torch.tensor([1, -1, -1], dtype=torch.float64)
    taps[1, half + 1] = taps[2, half - 1] = 1
    inputs = torch.tensor([[1, 1], [0, 1], [1, 0]], dtype=torch.float64)
    return RowProducts(inputs, taps, torch.tensor([[1, 1, 0], [1, 0, 1]], dtype=torch.float64))


def _cyclic(length: int, kernel_size: int) -> RowProducts:
    """Y = X conj(W) at each frequency of a cycle in which rows wrap around only into zeros."""
    half = kernel_size // 2
    cycle = length + half
    rows = torch.arange(length, dtype=torch.float64)
    offsets = torch.arange(kernel_size, dtype=torch.float64) - half
    inputs, taps, outputs = [], [], []
    for frequency in range(cycle // 2 + 1):
        angle = 2 * math.pi * frequency / cycle
        row_cosine, row_sine = (angle * rows).cos(), (angle * rows).sin()
        tap_cosine, tap_sine = (angle * offsets).cos(), (angle * offsets).sin()
        if 2 * frequency % cycle == 0:
            inputs.append(row_cosine)
            taps.append(tap_cosine)
            outputs.append(row_cosine / cycle)
            continue
        # With X = a - ib and conj(W) = c + id, the product's real part is ac + bd and its imaginary part ad - bc:
        # three products c(a + b), b(c - d), a(c + d) give real = 1st - 2nd and imaginary = 3rd - 1st.
        inputs += [row_cosine + row_sine, row_sine, row_cosine]
        taps += [tap_cosine, tap_cosine - tap_sine, tap_cosine + tap_sine]
        real, imaginary = 2 / cycle * row_cosine, -2 / cycle * row_sine
        outputs += [real - imaginary, -real, imaginary]
    return RowProducts(torch.stack(inputs), torch.stack(taps), torch.stack(outputs, dim=1))
