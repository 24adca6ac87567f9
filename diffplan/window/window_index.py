from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Int64

from diffplan.errors import ConfigError, DataError

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
