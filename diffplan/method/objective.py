"""The training objectives of denoiser and critic."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from diffplan.errors import ConfigError
from diffplan.method.shapes import Trajectories, TrajectoryMask


@dataclass(frozen=True)
class DenoisingLossTerms:
    """What a training step logs.

    Attributes:
        loss: The weighted mean over all entries, conditioned ones counting as zero.
        first_action_loss: Unweighted mean over the first action's entries; None where actions are not planned.
    """

    loss: Float[Tensor, ""]
    first_action_loss: Float[Tensor, ""] | None


class DenoisingLoss(nn.Module):
    """Weighted regression of the network's output on its target.

    The weight of plan row ``h`` and column ``d`` is ``gamma_h * w_d``, with ``gamma_h = discount ** h`` scaled to mean
    one, ``w_d`` one or the given factor of an observation column, and the first action's entries set to
    ``action_weight``. Conditioned entries weigh nothing, whatever the network predicts: they are known, so there is
    nothing to learn there.

    Args:
        horizon: Plan rows.
        action_dim: Action columns; 0 where actions are not planned.
        observation_dim: Observation columns.
        kind: Squared ("l2") or absolute ("l1") error.
        action_weight: Weight of the first action's entries.
        discount: Factor per plan row.
        observation_weights: Factor of single observation columns, by index.
        mask_padding: Leaves rows past the end of an episode out of the loss, as the original does not.

    Raises:
        ConfigError: for an observation column that does not exist.

    Reference: Diffuser, released code ``WeightedLoss``.
    Differs: the original overwrites *predicted noise* with states where noise is predicted; masking is right for every
        prediction type and equals the original for ``sample``. ``first_action_loss`` is not divided by its weight.
    """

    weights: Tensor

    def __init__(
        self,
        horizon: int,
        action_dim: int,
        observation_dim: int,
        kind: Literal["l2", "l1"] = "l2",
        action_weight: float = 1.0,
        discount: float = 1.0,
        observation_weights: Mapping[int, float] | None = None,
        mask_padding: bool = False,
    ) -> None:
        super().__init__()
        if kind not in ("l2", "l1"):
            raise ConfigError(f"loss.kind must be 'l2' or 'l1', got {kind!r}.")
        columns = torch.ones(action_dim + observation_dim)
        for index, weight in (observation_weights or {}).items():
            if not 0 <= index < observation_dim:
                raise ConfigError(
                    f"loss.observation_weights names observation column {index}, but there are {observation_dim}."
                )
            columns[action_dim + index] = weight
        rows = discount ** torch.arange(horizon, dtype=torch.float32)
        weights = torch.outer(rows / rows.mean(), columns)
        weights[0, :action_dim] = action_weight
        self.register_buffer("weights", weights, persistent=False)
        self.action_dim = action_dim
        self.kind = kind
        self.mask_padding = mask_padding

    def forward(
        self,
        prediction: Trajectories,
        target: Trajectories,
        conditioned: TrajectoryMask,
        valid: Bool[Tensor, "batch horizon"],
    ) -> DenoisingLossTerms:
        """Averages over batch, rows and columns.

        Args:
            prediction: The network's output.
            target: What it should be.
            conditioned: True at entries that were given.
            valid: False at padded rows.
        """
        difference = prediction - target
        errors = difference.square() if self.kind == "l2" else difference.abs()
        weights = self.weights.masked_fill(conditioned, 0.0)
        if self.mask_padding:
            weights = weights * valid[:, :, None]
        first_action_loss = errors[:, 0, : self.action_dim].mean().detach() if self.action_dim else None
        return DenoisingLossTerms((errors * weights).mean(), first_action_loss)


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
