"""Episodes to batches."""

from diffplan.datamodule.batch_loader import BatchLoader
from diffplan.datamodule.trajectory_data_module import TrajectoryDataModule

__all__ = ["BatchLoader", "TrajectoryDataModule"]
