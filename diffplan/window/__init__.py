"""Training windows: first the table of (episode, start), then the arrays."""

from diffplan.window.return_to_go import returns_to_go
from diffplan.window.trajectory_window import TrajectoryWindow
from diffplan.window.window_index import Padding, WindowIndex

__all__ = ["Padding", "TrajectoryWindow", "WindowIndex", "returns_to_go"]
