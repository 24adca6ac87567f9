"""Finds where episodes end in flat arrays: at the recorded flags, or at departures from the evaluation goal."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from diffplan.data.source.base import Transitions
from diffplan.data.source.d4rl_file import D4RLArrays


def segment_by_flags(arrays: D4RLArrays, include_unfinished: bool = True) -> Transitions:
    """Ends an episode at every row flagged terminal or timeout; the arrays are views, nothing is copied.

    Args:
        arrays: The rows.
        include_unfinished: Keeps the rows after the last flag, as a truncated episode.
    """
    return _segment(arrays, arrays.terminals | arrays.timeouts, arrays.terminals, include_unfinished)


def segment_by_goal_departure(
    arrays: D4RLArrays,
    target: Sequence[float],
    radius: float = 0.5,
    include_unfinished: bool = True,
) -> Transitions:
    """Ends an episode at every row inside the goal's disc whose successor is outside; recorded flags are ignored.

    The stored flags of Maze2D mark where the data collection drew a new random target, which says nothing about the
    evaluated task, so an episode runs from one departure from the evaluation goal to the next.

    Args:
        arrays: The rows; the first two observation columns are x and y in metres.
        target: Evaluation goal in metres.
        radius: Radius of the goal's disc in metres, its edge excluded.
        include_unfinished: Keeps the rows after the last departure, as a truncated episode.

    Reference: the preprocessing ``maze2d_set_terminals`` of the released Diffuser code.
    Differs: all rows of an episode are kept, the released code drops its last one.
    """
    offsets = arrays.observations[:, :2] - np.asarray(target, dtype=np.float32)
    at_goal = np.square(offsets).sum(axis=1) < radius**2
    is_last = np.zeros(len(arrays), dtype=np.bool_)
    is_last[:-1] = at_goal[:-1] & ~at_goal[1:]
    return _segment(arrays, is_last, np.zeros(len(arrays), dtype=np.bool_), include_unfinished)


def _segment(
    arrays: D4RLArrays,
    is_last: Bool[np.ndarray, " rows"],
    terminals: Bool[np.ndarray, " rows"],
    include_unfinished: bool,
) -> Transitions:
    ends = np.flatnonzero(is_last) + 1
    num_rows = len(arrays) if include_unfinished else int(ends.max(initial=0))
    if num_rows > ends.max(initial=0):
        ends = np.append(ends, num_rows)
    return Transitions(
        arrays.observations[:num_rows],
        arrays.actions[:num_rows],
        arrays.rewards[:num_rows],
        ends,
        terminals[ends - 1],
    )
