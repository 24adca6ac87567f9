"""Training windows: where they begin in flat arrays, and how a batch of them is gathered."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor

from diffplan.errors import ConfigError, DataError
from diffplan.method.shapes import Trajectories
from diffplan.method.trajectory import TrajectoryBatch

Padding = Literal["none", "zero", "edge"]


class WindowIndex:
    """Lists every row of a flat data set at which a training window may begin.

    ::

        episode      |0 1 2 3 4 5 6 7 8|            length 9, horizon 3, stride 2: a window spans 5 rows
        first window  *   *   *
        last window           *   *   *             padding "none": starts 0..4
        padded                      *   *   p       padding "zero" or "edge": starts 0..8

    Args:
        lengths: Episode lengths in file order.
        horizon: Rows of a window.
        stride: Environment steps between two rows of a window.
        padding: "none" keeps windows inside their episode. With "zero" and "edge" every row of an episode starts a
            window, and rows past the end are padded with a raw zero (as the original does) or with the last row.
        max_path_length: With ``drop_last_window``, the original's bound on starts in padded episodes.
        drop_last_window: Leaves out the last admissible window of every episode, as the original does.

    Raises:
        ConfigError: the horizon or the stride is below 1, or the padding is unknown.
        DataError: no episode is long enough.

    Reference: Diffuser, released code ``SequenceDataset.make_indices``.
    Differs: the original never yields the last admissible window (``drop_last_window`` reproduces it).
    """

    starts: Int64[np.ndarray, " window"]
    ends: Int64[np.ndarray, " window"]

    def __init__(
        self,
        lengths: Sequence[int] | Int64[np.ndarray, " episode"],
        horizon: int,
        stride: int = 1,
        padding: Padding = "none",
        max_path_length: int | None = None,
        drop_last_window: bool = False,
    ) -> None:
        if horizon < 1 or stride < 1:
            raise ConfigError(f"horizon and stride must be at least 1, got {horizon} and {stride}.")
        if padding not in ("none", "zero", "edge"):
            raise ConfigError(f"padding must be 'none', 'zero' or 'edge', got {padding!r}.")
        self.horizon, self.stride, self.padding = horizon, stride, padding
        self.span = (horizon - 1) * stride + 1
        episode_lengths = np.asarray(lengths, dtype=np.int64)
        counts = episode_lengths if padding != "none" else np.maximum(episode_lengths - self.span + 1, 0)
        if drop_last_window:
            bound = np.minimum(episode_lengths - 1, (max_path_length or np.iinfo(np.int64).max) - self.span)
            counts = np.maximum(np.minimum(bound, counts - 1 if padding == "none" else bound), 0)
        if counts.sum() == 0:
            longest = int(episode_lengths.max(initial=0))
            raise DataError(
                f"no training window fits: one spans {self.span} steps (horizon {horizon}, stride {stride}) but the "
                f"longest of {len(episode_lengths)} episodes has {longest}; take a shorter horizon or more data."
            )
        episode_ends = np.cumsum(episode_lengths)
        first_window = np.cumsum(counts) - counts
        offset_in_episode = np.arange(counts.sum()) - np.repeat(first_window, counts)
        self.starts = np.repeat(episode_ends - episode_lengths, counts) + offset_in_episode
        self.ends = np.repeat(episode_ends, counts)

    def __len__(self) -> int:
        return len(self.starts)


@dataclass(frozen=True)
class TrajectoryWindow:
    """Cuts batches of windows out of one flat, normalised array on the training device.

    A batch is one gather: no worker process, no Python per window, no copy of overlapping windows.

    Attributes:
        transitions: All episodes one after another, normalised.
        padding_row: What stands past an episode's end with padding "zero": the normalised raw zero.
        padding: As in ``WindowIndex``.
        starts: Row at which each window begins.
        ends: Row behind the end of each window's episode.
        offsets: Rows of a window, counted from its start.
        returns: Return-to-go of every row, for a critic; None where none is trained.
    """

    transitions: Float[Tensor, "rows transition"]
    padding_row: Float[Tensor, " transition"]
    padding: Padding
    starts: Int[Tensor, " window"]
    ends: Int[Tensor, " window"]
    offsets: Int[Tensor, " horizon"]
    returns: Float[Tensor, " rows"] | None = None

    @classmethod
    def of_index(
        cls,
        index: WindowIndex,
        transitions: Float[Tensor, "rows transition"],
        padding_row: Float[Tensor, " transition"],
        returns: Float[Tensor, " rows"] | None = None,
    ) -> "TrajectoryWindow":
        """Lays the windows of an index over normalised rows; arguments as the attributes."""
        offsets = torch.arange(index.horizon) * index.stride
        starts, ends = torch.from_numpy(index.starts), torch.from_numpy(index.ends)
        return cls(transitions, padding_row, index.padding, starts, ends, offsets, returns)

    def __len__(self) -> int:
        return len(self.starts)

    def to(self, device: torch.device) -> "TrajectoryWindow":
        """Returns the same windows on a device."""
        moved: dict[str, Any] = {
            key: value.to(device) for key, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, **moved)

    def gather(self, windows: Int[Tensor, " batch"]) -> tuple[Trajectories, Bool[Tensor, "batch horizon"]]:
        """Returns the windows of the given numbers, and where they are real."""
        rows = self.starts[windows][:, None] + self.offsets
        if self.padding == "none":
            return self.transitions[rows], torch.ones_like(rows, dtype=torch.bool)
        ends = self.ends[windows][:, None]
        valid = rows < ends
        trajectories = self.transitions[torch.minimum(rows, ends - 1)]
        if self.padding == "zero":
            trajectories = torch.where(valid[:, :, None], trajectories, self.padding_row)
        return trajectories, valid

    def batch(self, windows: Int[Tensor, " batch"], number: int = 0) -> TrajectoryBatch:
        """Returns the windows of the given numbers as the training batch of this ``number``."""
        trajectories, valid = self.gather(windows)
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
