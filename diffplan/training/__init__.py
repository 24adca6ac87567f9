"""Training with Lightning: modules, stages and callbacks."""

from diffplan.training.modules import AbstractTrajectoryModule, DiffuserModule, ValueModule

__all__ = ["AbstractTrajectoryModule", "DiffuserModule", "ValueModule"]
