"""A trajectory model: the parts that are trained together and that planners use."""

from dataclasses import dataclass, replace
from typing import Any

import torch

from diffplan.method.conditioning import AbstractConditioning
from diffplan.method.network.base import AbstractBackbone
from diffplan.method.normalizer import AbstractNormalizer
from diffplan.method.trajectory import TransitionLayout


@dataclass(frozen=True)
class TrajectoryModel:
    """A denoising network and everything that says what it denoises; training and planning take the same object.

    Attributes:
        backbone: The network. A planner gets the one with the averaged (EMA) weights.
        normalizer: Maps raw units to network units.
        scheduler: The diffusers scheduler that noises the training data.
        conditioning: Which observations of a plan are given.
        layout: Columns of a plan row.
        horizon: Rows of a plan in training.
        stride: Environment steps between two rows.
    """

    backbone: AbstractBackbone
    normalizer: AbstractNormalizer
    scheduler: Any
    conditioning: AbstractConditioning
    layout: TransitionLayout
    horizon: int
    stride: int

    def to(self, device: torch.device | str) -> "TrajectoryModel":
        """Moves network and normaliser to a device and returns the model."""
        return replace(self, backbone=self.backbone.to(device), normalizer=self.normalizer.to(device))
