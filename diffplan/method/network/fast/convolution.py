"""Convolutions over few rows as products with fewer multiplications."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from diffplan.errors import HorizonError

Convolution = nn.Conv1d | nn.ConvTranspose1d


@dataclass(frozen=True)
class RowTap:
    """One tap: output rows ``outputs`` receive input rows ``inputs`` times weight ``index``.

    Attributes:
        index: Place of the tap in the kernel.
        inputs: Rows read.
        outputs: Rows added to, as many as are read.
        num_rows: How many these are.
    """

    index: int
    inputs: slice
    outputs: slice
    num_rows: int


def output_length(convolution: Convolution, length: int) -> int:
    """Returns the number of output rows for ``length`` input rows."""
    stride, padding, dilation = _settings(convolution)
    reach = dilation * (convolution.kernel_size[0] - 1)
    if isinstance(convolution, nn.ConvTranspose1d):
        return (length - 1) * stride - 2 * padding + reach + convolution.output_padding[0] + 1
    return (length + 2 * padding - reach - 1) // stride + 1


def row_taps(convolution: Convolution, length: int) -> list[RowTap]:
    """Lists the taps that touch at least one row. Products with padding are left out.

    Args:
        convolution: One group, padded with zeros.
        length: Rows in.
    """
    stride, padding, dilation = _settings(convolution)
    rows_in, rows_out = range(length), range(output_length(convolution, length))
    transposed = isinstance(convolution, nn.ConvTranspose1d)
    few, many = (rows_in, rows_out) if transposed else (rows_out, rows_in)
    taps = []
    for index in range(convolution.kernel_size[0]):
        shift = index * dilation - padding
        pairs = [(row, row * stride + shift) for row in few if row * stride + shift in many]
        if pairs:
            own = slice(pairs[0][0], pairs[-1][0] + 1, 1)
            other = slice(pairs[0][1], pairs[-1][1] + 1, stride)
            inputs, outputs = (own, other) if transposed else (other, own)
            taps.append(RowTap(index, inputs, outputs, len(pairs)))
    return taps


def _settings(convolution: Convolution) -> tuple[int, int, int]:
    """Stride, padding and dilation."""
    assert not isinstance(convolution.padding, str)
    return convolution.stride[0], convolution.padding[0], convolution.dilation[0]


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


# Reading a weight from memory takes about as long as this many multiply-adds with it.
WEIGHT_COST = 16


class FrozenConvolution(nn.Module):
    """Equals a trained convolution at one length, in fewer multiplications, for input gradients only.

    The weights are constant, so what depends on them alone is computed once. There are two forms. The cheaper one is
    chosen by counting multiply-adds and weights for the expected batch:

    - taps: one matrix product for each tap, over the rows it touches. Nothing is multiplied by padding.
    - products: the convolution as few products of mixed rows with mixed weights (see ``RowProducts``); for a kernel
      of 5 and four rows 8 products instead of 20.

    Args:
        convolution: The trained layer: one group, padded with zeros.
        length: Rows of its input.
        batch: Approximate number of trajectories in a call. It affects only the speed.
    """

    weights: Tensor
    bias: Tensor | None
    mix_inputs: Tensor | None
    mix_outputs: Tensor | None

    def __init__(self, convolution: Convolution, length: int, batch: int) -> None:
        super().__init__()
        transposed = isinstance(convolution, nn.ConvTranspose1d)
        pattern = "channel out tap -> tap channel out" if transposed else "out channel tap -> tap channel out"
        by_tap = rearrange(convolution.weight.detach(), pattern).contiguous()
        self.length = length
        self.output_length = output_length(convolution, length)
        self.taps = row_taps(convolution, length)
        products = _cheaper_products(convolution, self.taps, length, batch)
        if products is not None:
            # Once, in double precision, which not every accelerator has.
            by_tap = torch.einsum("pk,kco->pco", products.taps, by_tap.cpu().double()).to(by_tap)
        self.register_buffer("weights", by_tap, persistent=False)
        bias = None if convolution.bias is None else convolution.bias.detach().clone()
        self.register_buffer("bias", bias, persistent=False)
        mixes = (None, None) if products is None else (products.inputs.to(by_tap), products.outputs.to(by_tap))
        self.register_buffer("mix_inputs", mixes[0], persistent=False)
        self.register_buffer("mix_outputs", mixes[1], persistent=False)

    def forward(
        self, features: Float[Tensor, "batch in_channels horizon"]
    ) -> Float[Tensor, "batch out_channels new_horizon"]:
        """Takes and gives the layer's usual order of axes; the memory of the result has rows first."""
        rows = self.rows(rearrange(features, "batch channel row -> row batch channel"))
        rows = rows if self.bias is None else rows + self.bias
        return rearrange(rows, "row batch channel -> batch channel row")

    def rows(self, rows: Float[Tensor, "row batch in_channels"]) -> Float[Tensor, "new_row batch out_channels"]:
        """Convolves rows, without the bias.

        Raises:
            HorizonError: for a length other than the one this layer was made for.
        """
        if len(rows) != self.length:
            raise HorizonError(
                f"this network was prepared for planning at another horizon: a layer for {self.length} rows got "
                f"{len(rows)}. Prepare the trained network for the horizon it is to plan at."
            )
        if self.mix_inputs is None or self.mix_outputs is None:
            return _TapProducts.apply(rows, self.weights, self.taps, self.output_length)
        mixed = _mix(self.mix_inputs, rows)
        return _mix(self.mix_outputs, torch.bmm(mixed, self.weights))


def _mix(matrix: Tensor, rows: Tensor) -> Tensor:
    """Applies a matrix along the first axis; a 1 x 1 matrix changes nothing."""
    if matrix.numel() == 1:
        return rows
    return (matrix @ rows.reshape(len(rows), -1)).unflatten(1, rows.shape[1:])


def _cheaper_products(convolution: Convolution, taps: list[RowTap], length: int, batch: int) -> RowProducts | None:
    """Returns the form as products, or None if there is none or it does not cost clearly less than the form as taps."""
    (kernel_size,) = convolution.kernel_size
    keeps_length = convolution.stride == (1,) and convolution.padding == (kernel_size // 2,)
    if isinstance(convolution, nn.ConvTranspose1d) or not keeps_length or convolution.dilation != (1,):
        return None
    if kernel_size % 2 == 0 or kernel_size == 1:
        return None
    pair = convolution.in_channels * convolution.out_channels
    products = row_products(length, kernel_size)
    num_products = len(products.inputs)
    mixing = 0 if length == 1 else num_products * length * (convolution.in_channels + convolution.out_channels)
    as_products = batch * (num_products * pair + mixing) + WEIGHT_COST * num_products * pair
    as_taps = batch * sum(tap.num_rows for tap in taps) * pair + WEIGHT_COST * len(taps) * pair
    return products if as_products < 0.8 * as_taps else None


class _TapProducts(torch.autograd.Function):
    """Adds up one product per tap. The gradient with respect to the rows is the same sum with transposed weights."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weights: Tensor, taps: list[RowTap], length: int) -> Tensor:
        ctx.weights, ctx.taps, ctx.length = weights, taps, len(rows)
        return _add_up(rows, [(tap.inputs, tap.outputs, weights[tap.index]) for tap in taps], length)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        turned = [(tap.outputs, tap.inputs, ctx.weights[tap.index].T) for tap in ctx.taps]
        return _add_up(gradients[0], turned, ctx.length), None, None, None


def _add_up(rows: Tensor, parts: list[tuple[slice, slice, Tensor]], length: int) -> Tensor:
    """Adds ``rows[inputs] @ weight`` to the output rows of each part."""
    _, batch, channels = rows.shape
    result = rows.new_zeros(length, batch, parts[0][2].shape[1])
    for inputs, outputs, weight in parts:
        target = result[outputs]
        if outputs.step == 1:
            flat = target.view(-1, weight.shape[1])
            torch.addmm(flat, rows[inputs].reshape(-1, channels), weight, out=flat)
        else:
            torch.baddbmm(target, rows[inputs], weight.expand(len(target), -1, -1), out=target)
    return result
