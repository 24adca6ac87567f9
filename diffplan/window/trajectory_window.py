import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from diffplan.shapes import Trajectories
from diffplan.trajectory import TrajectoryBatch
from diffplan.window.window_index import Padding, WindowIndex


class TrajectoryWindow(nn.Module):
    """Cuts batches of windows out of one flat, normalised, device-resident array.

    A batch is one gather: no worker process, no per-item Python, no copy of overlapping windows.

    Args:
        transitions: All episodes one after another, normalised.
        padding_row: What stands past an episode's end with padding "zero": the normalised raw zero.
        index: Where windows begin.
        horizon: Rows of a window.
        stride: Environment steps between two rows.
        padding: As in the index.
        returns: Return-to-go of every row, for a critic; None where none is trained.
    """

    transitions: Tensor
    padding_row: Tensor
    starts: Tensor
    ends: Tensor | None
    offsets: Tensor
    returns: Tensor | None

    def __init__(
        self,
        transitions: Float[Tensor, "rows transition"],
        padding_row: Float[Tensor, " transition"],
        index: WindowIndex,
        horizon: int,
        stride: int,
        padding: Padding,
        returns: Float[Tensor, " rows"] | None = None,
    ) -> None:
        super().__init__()
        self.padding = padding
        self.register_buffer("transitions", transitions)
        self.register_buffer("padding_row", padding_row)
        self.register_buffer("starts", torch.from_numpy(index.starts))
        self.register_buffer("ends", torch.from_numpy(index.ends) if padding != "none" else None)
        self.register_buffer("offsets", torch.arange(horizon) * stride)
        self.register_buffer("returns", returns)

    def __len__(self) -> int:
        return len(self.starts)

    def forward(self, windows: Int[Tensor, " batch"]) -> tuple[Trajectories, Bool[Tensor, "batch horizon"]]:
        """Returns the windows of the given numbers, and where they are real."""
        rows = self.starts[windows][:, None] + self.offsets
        if self.ends is None:
            return self.transitions[rows], torch.ones_like(rows, dtype=torch.bool)
        ends = self.ends[windows][:, None]
        valid = rows < ends
        trajectories = self.transitions[torch.minimum(rows, ends - 1)]
        if self.padding == "zero":
            trajectories = torch.where(valid[:, :, None], trajectories, self.padding_row)
        return trajectories, valid

    def batch(self, windows: Int[Tensor, " batch"], number: int) -> TrajectoryBatch:
        """Returns the windows of the given numbers as the training batch of this ``number``."""
        trajectories, valid = self(windows)
        returns = None if self.returns is None else self.returns[self.starts[windows]]
        return TrajectoryBatch(trajectories, valid, number, returns)

    def return_range(self) -> tuple[float, float]:
        """Least and greatest return over all windows.

        Raises:
            RuntimeError: the windows have no returns.
        """
        if self.returns is None:
            raise RuntimeError("these windows have no returns")
        returns = self.returns[self.starts]
        return float(returns.min()), float(returns.max())
