"""Lightning modules."""

from diffplan.module.diffuser_module import DiffuserModule
from diffplan.module.exponential_moving_average import ExponentialMovingAverage

__all__ = ["DiffuserModule", "ExponentialMovingAverage"]
