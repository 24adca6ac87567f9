from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from diffplan.errors import ConfigError


@dataclass(frozen=True)
class ValueLossTerms:
    """What a training step of a critic logs.

    Attributes:
        loss: Mean error over the batch.
        correlation: Pearson correlation of prediction and target; 0 where either is constant.
    """

    loss: Float[Tensor, ""]
    correlation: Float[Tensor, ""]


class ValueLoss(nn.Module):
    """Plain regression of the critic's output on the return.

    Args:
        kind: Squared ("l2") or absolute ("l1") error.

    Raises:
        ConfigError: for another kind.

    Reference: Diffuser, released code ``ValueL2`` and ``ValueL1``.
    """

    def __init__(self, kind: Literal["l2", "l1"] = "l2") -> None:
        super().__init__()
        if kind not in ("l2", "l1"):
            raise ConfigError(f"critic.loss.kind must be 'l2' or 'l1', got {kind!r}.")
        self.kind = kind

    def forward(self, prediction: Float[Tensor, " batch"], target: Float[Tensor, " batch"]) -> ValueLossTerms:
        """Averages over the batch.

        Args:
            prediction: The critic's output.
            target: What it should be, in the same units.
        """
        difference = prediction - target
        loss = (difference.square() if self.kind == "l2" else difference.abs()).mean()
        return ValueLossTerms(loss, _correlation(prediction.detach(), target))


def _correlation(first: Float[Tensor, " batch"], second: Float[Tensor, " batch"]) -> Float[Tensor, ""]:
    first, second = first - first.mean(), second - second.mean()
    scale = first.norm() * second.norm()
    return torch.where(scale > 0, (first @ second) / scale.clamp_min(torch.finfo(scale.dtype).tiny), 0.0)
