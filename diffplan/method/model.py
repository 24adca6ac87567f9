"""A trained trajectory model as planners see it: no training code, no files, no dataset."""

from dataclasses import dataclass
from typing import Any

from diffplan.method.conditioning import AbstractConditioning
from diffplan.method.network.base import AbstractBackbone
from diffplan.method.normalizer import AbstractNormalizer
from diffplan.method.trajectory import TransitionLayout


@dataclass(frozen=True)
class TrajectoryModel:
    """Everything a planner needs of a trained model.

    Attributes:
        backbone: The network with the averaged (EMA) weights.
        normalizer: Raw units to network units.
        scheduler: The diffusers scheduler it was trained with.
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
