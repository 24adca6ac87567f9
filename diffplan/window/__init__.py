"""Training windows: first the table of (episode, start), then the arrays."""

from diffplan.window.trajectory_window import TrajectoryWindow
from diffplan.window.window_index import Padding, WindowIndex

__all__ = ["Padding", "TrajectoryWindow", "WindowIndex"]
