from typing import Any

import torch
from einops import repeat
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Rows = Float[Tensor, "row batch channel"]


class FrozenNormalization(nn.Module):
    """A convolution's bias, trained group normalisation and Mish in few passes, for input gradients only.

    Statistics are over rows and the channels of a group; sums over a group and spreading over it are products with
    small constant matrices. With ``h = sigmoid(-z)``, ``mish(z) = z (1 - h^2) / (1 + h^2)``: one exponential and no
    overflow.

    Args:
        normalization: The trained layer, with gains and shifts.
        bias: The bias of the convolution before it.
        length: Rows it will be given.
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
        """Takes what the convolution gives before its bias; without gradients the result takes its place in memory."""
        if torch.is_grad_enabled() and rows.requires_grad:
            return _NormalizedMish.apply(rows, self)
        rows.add_(self.center(rows))
        _, scale = self.root_and_scale(rows)
        negative = torch.addcmul(self.negative_shift, rows, scale, out=rows)
        half = negative.sigmoid()
        torch.addcmul(self.one, half, half, out=half)
        return negative.addcdiv_(negative, half, value=-2)

    def center(self, rows: Rows) -> Float[Tensor, "batch channel"]:
        """Returns what is to be added so that every group's mean, the bias included, is zero."""
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
