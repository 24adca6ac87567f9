from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from diffplan.backbone.frozen.row_products import RowProducts, row_products
from diffplan.backbone.frozen.row_taps import Convolution, RowTap, output_length, row_taps
from diffplan.errors import HorizonError

# Reading a weight from memory takes about as long as this many multiply-adds with it.
WEIGHT_COST = 16


class FrozenConvolution(nn.Module):
    """Equals a trained convolution at one length, in fewer multiplications, for input gradients only.

    The weights are constant, so what depends on them alone is computed once. Two forms, the cheaper is taken by a
    count of multiply-adds and weights for the expected batch (see ``_cost``):

    - taps: one matrix product a tap, over exactly those rows it touches; nothing is multiplied by padding.
    - products: the convolution as few products of mixed rows with mixed weights (see ``RowProducts``); for a kernel
      of 5 and four rows 8 products instead of 20.

    Args:
        convolution: The trained layer: one group, padded with zeros.
        length: Rows it will be given.
        batch: Trajectories it will be given at a time, about; changes speed alone.
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
        """Keeps the layer's own order of axes; memory is in rows first."""
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
    """Applies a matrix along the first axis; one row into one row is no change."""
    if matrix.numel() == 1:
        return rows
    return (matrix @ rows.reshape(len(rows), -1)).unflatten(1, rows.shape[1:])


def _cheaper_products(convolution: Convolution, taps: list[RowTap], length: int, batch: int) -> RowProducts | None:
    """Returns the form as products where there is one and it costs clearly less than going tap by tap."""
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
    """Adds up one product a tap; the gradient with respect to the rows is the same with everything turned round."""

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
