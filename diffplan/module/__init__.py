"""Lightning modules."""

from diffplan.module.base import AbstractTrajectoryModule
from diffplan.module.diffuser_module import DiffuserModule
from diffplan.module.exponential_moving_average import ExponentialMovingAverage
from diffplan.module.value_module import ValueModule

__all__ = ["AbstractTrajectoryModule", "DiffuserModule", "ExponentialMovingAverage", "ValueModule"]
