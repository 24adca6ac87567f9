"""Training windows: the table of their starts, their arrays, and the returns that follow them."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, Int64
from torch import Tensor, nn

from diffplan.data.source.base import Episode
from diffplan.errors import ConfigError, DataError
from diffplan.method.critic import ReturnTarget
from diffplan.method.shapes import Trajectories
from diffplan.method.trajectory import TrajectoryBatch

Padding = Literal["none", "zero", "edge"]


class WindowIndex:
    """Every place in a flat data set where a training window may begin.

    ::

        episode      |0 1 2 3 4 5 6 7 8|            length 9, horizon 3, stride 2: a window spans 5 rows
        first window  *   *   *
        last window           *   *   *             padding "none": starts 0..4
        padded                      *   *   p       padding "zero" or "edge": starts 0..8

    Args:
        lengths: Episode lengths in file order.
        horizon: Rows of a window.
        stride: Environment steps between two rows of a window.
        padding: "none" keeps windows inside their episode; otherwise every row of an episode starts a window and the
            rows past the end are padded ("zero": a raw zero, as the original; "edge": the last row again).
        max_path_length: With ``drop_last_window``, the original's bound on starts in padded episodes.
        drop_last_window: Leaves out the last admissible window of every episode, as the original does.

    Raises:
        ConfigError: for an impossible horizon or stride.
        DataError: no episode is long enough.

    Reference: Diffuser, released code ``SequenceDataset.make_indices``.
    Differs: the original never yields the last admissible window (``drop_last_window`` reproduces it).
    """

    starts: Int64[np.ndarray, " window"]
    ends: Int64[np.ndarray, " window"]

    def __init__(
        self,
        lengths: Sequence[int],
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


def returns_to_go(episodes: Sequence[Episode], target: ReturnTarget) -> Float32[np.ndarray, " row"]:
    """Returns what followed each row until the end of its episode, discounted from there.

    The sum runs to the end of the *episode*, not of the window that begins at the row.

    Args:
        episodes: In file order.
        target: Discount, penalty, and what follows a time limit.
    """
    returns = [_of_episode(episode, target) for episode in episodes]
    return np.concatenate(returns).astype(np.float32)


def _of_episode(episode: Episode, target: ReturnTarget) -> np.ndarray:
    rewards = episode.rewards.astype(np.float64)
    following = 0.0
    if episode.terminated:
        rewards[-1] += target.termination_penalty
    elif target.time_limit == "extrapolate":
        following = rewards.mean() / (1.0 - target.discount)
    returns = np.empty_like(rewards)
    for row in range(len(rewards) - 1, -1, -1):
        following = rewards[row] + target.discount * following
        returns[row] = following
    return returns
