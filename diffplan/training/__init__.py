"""Lightning modules."""

from diffplan.training.base import AbstractTrajectoryModule
from diffplan.training.diffuser_module import DiffuserModule
from diffplan.training.exponential_moving_average import ExponentialMovingAverage
from diffplan.training.value_module import ValueModule

__all__ = ["AbstractTrajectoryModule", "DiffuserModule", "ExponentialMovingAverage", "ValueModule"]
