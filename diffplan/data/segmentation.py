"""Cuts flat arrays into episodes, by the recorded flags or by departures from the evaluation goal."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool

from diffplan.data.source.base import Episode
from diffplan.data.source.d4rl_file import D4RLArrays


def segment_by_flags(arrays: D4RLArrays, include_unfinished: bool = True) -> Iterator[Episode]:
    """Ends an episode at every row flagged terminal or timeout; arrays are views, nothing is copied.

    Args:
        arrays: The rows.
        include_unfinished: Also yields the rows after the last flag, as a truncated episode.
    """
    return _cut(arrays, arrays.terminals | arrays.timeouts, arrays.terminals, include_unfinished)


def segment_by_goal_departure(
    arrays: D4RLArrays,
    target: tuple[float, float],
    radius: float = 0.5,
    include_unfinished: bool = True,
) -> Iterator[Episode]:
    """Ends an episode at every row inside the goal's disc whose successor is outside; recorded flags are ignored.

    The stored flags of Maze2D mark where the data collection drew a new random target, which says nothing about the
    evaluated task, so an episode runs from one departure from the evaluation goal to the next.

    Args:
        arrays: The rows; the first two observation columns are x and y in metres.
        target: Evaluation goal in metres.
        radius: Radius of the goal's disc in metres, its edge excluded.
        include_unfinished: Also yields the rows after the last departure, as a truncated episode.

    Reference: the preprocessing ``maze2d_set_terminals`` of the released Diffuser code.
    Differs: all rows of an episode are kept, the released code drops its last one.
    """
    offsets = arrays.observations[:, :2] - np.asarray(target, dtype=np.float32)
    at_goal = np.square(offsets).sum(axis=1) < radius**2
    ends = np.zeros(len(arrays), dtype=np.bool_)
    ends[:-1] = at_goal[:-1] & ~at_goal[1:]
    return _cut(arrays, ends, np.zeros(len(arrays), dtype=np.bool_), include_unfinished)


def _cut(
    arrays: D4RLArrays,
    ends: Bool[np.ndarray, " rows"],
    terminals: Bool[np.ndarray, " rows"],
    include_unfinished: bool,
) -> Iterator[Episode]:
    start = 0
    stops = (np.flatnonzero(ends) + 1).tolist()
    if include_unfinished and (not stops or stops[-1] < len(arrays)):
        stops.append(len(arrays))
    for stop in stops:
        rows = slice(start, stop)
        terminated = bool(terminals[stop - 1])
        yield Episode(
            observations=arrays.observations[rows],
            actions=arrays.actions[rows],
            rewards=arrays.rewards[rows],
            terminated=terminated,
            truncated=not terminated,
        )
        start = stop
