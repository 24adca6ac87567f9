"""The blocks of the networks, frozen for planning."""

from typing import Any

import torch
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from diffplan.method.network.blocks import ConvolutionBlock, ResidualTemporalBlock, TemporalAttention
from diffplan.method.network.fast.convolution import FrozenConvolution
from diffplan.method.shapes import Embedding, Features

Rows = Float[Tensor, "row batch channel"]


class FrozenNormalization(nn.Module):
    """A convolution's bias, trained group normalisation and Mish in few passes, for input gradients only.

    Statistics are over rows and the channels of a group; sums over a group and spreading over it are products with
    small constant matrices. With ``h = sigmoid(-z)``, ``mish(z) = z (1 - h^2) / (1 + h^2)``: one exponential and no
    overflow.

    Args:
        normalization: The trained layer, with gains and shifts.
        bias: The bias of the convolution before it.
        length: Rows of its input.
    """

    bias: Tensor
    one: Tensor
    eps: Tensor
    mean_of: Tensor
    mean_bias: Tensor
    negative_spread: Tensor
    negative_gains: Tensor
    negative_shift: Tensor

    def __init__(self, normalization: nn.GroupNorm, bias: Float[Tensor, " channel"], length: int) -> None:
        super().__init__()
        bias, gains = bias.detach(), normalization.weight.detach()
        groups, width = normalization.num_groups, len(bias)
        count = length * width // groups
        member = repeat(torch.eye(groups).to(bias), "group other -> group (other channel)", channel=width // groups)
        mean_of = member.T / count
        buffers = {
            "bias": bias.clone(),
            "one": torch.ones_like(bias[0]),
            "eps": torch.full_like(mean_of[0], normalization.eps),
            "mean_of": mean_of,
            "mean_bias": length * bias @ mean_of,
            "negative_spread": -member,
            "negative_gains": -member * gains,
            "negative_shift": -normalization.bias.detach(),
        }
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer.contiguous(), persistent=False)

    def forward(self, rows: Rows) -> Rows:
        """Takes the convolution's result without bias. Without gradients it is overwritten with the layer's result."""
        if torch.is_grad_enabled() and rows.requires_grad:
            return _NormalizedMish.apply(rows, self)
        rows.add_(self.center(rows))
        _, scale = self.root_and_scale(rows)
        negative = torch.addcmul(self.negative_shift, rows, scale, out=rows)
        half = negative.sigmoid()
        torch.addcmul(self.one, half, half, out=half)
        return negative.addcdiv_(negative, half, value=-2)

    def center(self, rows: Rows) -> Float[Tensor, "batch channel"]:
        """Returns what must be added so that every group's mean is zero; the bias is included."""
        mean = torch.addmm(self.mean_bias, rows.sum(0), self.mean_of)
        return torch.addmm(self.bias, mean, self.negative_spread)

    def root_and_scale(self, centered: Rows) -> tuple[Float[Tensor, "batch group"], Float[Tensor, "batch channel"]]:
        """Returns a group's inverse deviation, and the factor of each channel that normalises and turns the sign."""
        root = torch.addmm(self.eps, centered.square().sum(0), self.mean_of).rsqrt_()
        return root, root @ self.negative_gains


class _NormalizedMish(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, layer: FrozenNormalization) -> Tensor:
        centered = rows + layer.center(rows)
        root, scale = layer.root_and_scale(centered)
        negative = torch.addcmul(layer.negative_shift, centered, scale)
        half = negative.sigmoid()
        inverse = torch.addcmul(layer.one, half, half).reciprocal_()
        quotient = negative * inverse
        result = negative.sub_(quotient, alpha=2)
        # mish'(z) = (1 - h^2) / (1 + h^2) + 4 z h^2 (1 - h) / (1 + h^2)^2 = 1 - 2 loss.
        quotient.addcmul_(quotient, half, value=-1)
        rest = torch.sub(layer.one, inverse, out=inverse)
        loss = torch.addcmul(rest, quotient, rest, value=2, out=half)
        ctx.save_for_backward(centered, loss, scale, root)
        ctx.layer = layer
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        centered, loss, scale, root = ctx.saved_tensors
        layer = ctx.layer
        gradient = torch.addcmul(gradients[0], gradients[0], loss, value=-2)
        # A group's mean gradient, and its mean product with the normalised rows, are taken out.
        level = gradient.sum(0) @ layer.negative_gains.T
        along = (gradient * centered).sum(0) @ layer.negative_gains.T
        offset = (level * root) @ layer.mean_of.T
        factor = (along * root * root * root) @ layer.mean_of.T
        return torch.addcmul(offset, centered, factor).addcmul_(gradient, scale, value=-1), None


class FrozenAttention(nn.Module):
    """Equals a trained ``TemporalAttention``, on memory in rows first.

    Args:
        attention: The trained layer.
        length: Rows of its input.
        batch: Number of trajectories in a call. It is not used.
    """

    def __init__(self, attention: TemporalAttention, length: int, batch: int) -> None:
        super().__init__()
        self.trained = attention
        # (q k) v instead of q (k v): the products of matrices associate, and short plans have few rows.
        self.pairs_of_rows = 2 * length <= attention.to_qkv.out_channels // (3 * attention.num_heads)

    def forward(self, features: Features) -> Features:
        """Keeps batch, channels and length."""
        trained = self.trained
        rows = rearrange(features, "batch channel row -> row batch channel").contiguous()
        projected = torch.nn.functional.linear(trained.normalization(rows), trained.to_qkv.weight.squeeze(2))
        query, key, value = rearrange(
            projected, "row batch (part head c) -> part batch head row c", part=3, head=trained.num_heads
        )
        query, key = query * trained.scale, key.softmax(dim=2)
        if self.pairs_of_rows:
            attended = (query @ key.transpose(2, 3)) @ value
        else:
            attended = query @ (key.transpose(2, 3) @ value)
        attended = rearrange(attended, "batch head row c -> row batch (head c)")
        rows = rows + torch.nn.functional.linear(attended, trained.to_out.weight.squeeze(2), trained.to_out.bias)
        return rearrange(rows, "row batch channel -> batch channel row")


class FrozenConvolutionBlock(nn.Module):
    """Equals a trained ``ConvolutionBlock`` at one length.

    Args:
        block: The trained block.
        length: Rows of its input.
        batch: Approximate number of trajectories in a call. It affects only the speed.
    """

    def __init__(self, block: ConvolutionBlock, length: int, batch: int) -> None:
        super().__init__()
        self.convolution = FrozenConvolution(block.convolution, length, batch)
        assert block.convolution.bias is not None
        self.normalization = FrozenNormalization(block.normalization, block.convolution.bias, length)

    def forward(
        self, features: Float[Tensor, "batch in_channels horizon"]
    ) -> Float[Tensor, "batch out_channels horizon"]:
        """Keeps batch and length."""
        rows = self.rows(rearrange(features, "batch channel row -> row batch channel"))
        return rearrange(rows, "row batch channel -> batch channel row")

    def rows(self, rows: Float[Tensor, "row batch in_channels"]) -> Float[Tensor, "row batch out_channels"]:
        """Applies the block to rows."""
        return self.normalization(self.convolution.rows(rows))


class FrozenResidualBlock(nn.Module):
    """Equals a trained ``ResidualTemporalBlock`` at one length.

    Args:
        block: The trained block.
        length: Rows of its input.
        batch: Approximate number of trajectories in a call. It affects only the speed.
    """

    def __init__(self, block: ResidualTemporalBlock, length: int, batch: int) -> None:
        super().__init__()
        self.first = FrozenConvolutionBlock(block.first, length, batch)
        self.second = FrozenConvolutionBlock(block.second, length, batch)
        self.time = block.time
        self.residual = block.residual

    def forward(
        self, features: Float[Tensor, "batch in_channels horizon"], embedding: Embedding
    ) -> Float[Tensor, "batch out_channels horizon"]:
        """Keeps batch and length."""
        # One copy here if memory is not in rows first yet, instead of one in each convolution.
        rows = rearrange(features, "batch channel row -> row batch channel").contiguous()
        time = rearrange(self.time(embedding), "batch channel 1 -> batch channel")
        result = self.second.rows(self.first.rows(rows) + time)
        if isinstance(self.residual, nn.Conv1d):
            weight = rearrange(self.residual.weight, "out channel 1 -> out channel")
            rows = torch.nn.functional.linear(rows, weight, self.residual.bias)
        return rearrange(result + rows, "row batch channel -> batch channel row")
