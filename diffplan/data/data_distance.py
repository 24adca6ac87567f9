"""How far plans are from the data: the distance of a planned window to the nearest window of the data."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from diffplan.data.source.base import Transitions
from diffplan.data.windows import WindowIndex

_MOST_WINDOWS, _MOST_HELD_BACK, _AT_ONCE = 10_000, 500, 250
_SHARE_HELD_BACK = 0.1


@dataclass(frozen=True)
class DataDistance:
    """Measures distances to a fixed random subset of the data's windows of observations.

    A distance is the root mean square, over all entries of a window, of differences in standard deviations of the
    data's observations.

    Attributes:
        spread: Standard deviation of each observation in the data; 1 for one that never changes.
        windows: The subset, divided by ``spread``, one flat window a row.
        of_data: Mean distance of windows from episodes that the subset has been kept free of: what is normal. None if
            all windows are of one episode.
    """

    spread: Float[np.ndarray, " observation"]
    windows: Float[np.ndarray, "window entry"]
    of_data: float | None

    @classmethod
    def of(cls, data: Transitions, horizon: int, stride: int = 1) -> "DataDistance":
        """Draws the windows to compare with; equal arguments draw the same windows.

        Args:
            data: All episodes.
            horizon: Rows of a window.
            stride: Environment steps between two rows.

        Raises:
            DataError: no episode is as long as a window.
        """
        rng = np.random.default_rng(0)
        index = WindowIndex(data.lengths, horizon, stride)
        spread = data.observations.std(axis=0, dtype=np.float64)
        spread = np.where(spread > 0, spread, 1.0)

        def drawn(starts: Int64[np.ndarray, " window"], most: int) -> Float[np.ndarray, "window entry"]:
            chosen = rng.permutation(starts)[:most]
            rows = data.observations[chosen[:, None] + stride * np.arange(horizon)]
            return (rows / spread).reshape(len(chosen), -1)

        # Neighbouring windows of an episode overlap, so that whole episodes are held back.
        episodes = rng.permutation(np.unique(index.ends))
        held_back = np.isin(index.ends, episodes[: int(np.ceil(_SHARE_HELD_BACK * len(episodes)))])
        if held_back.all():
            return cls(spread, drawn(index.starts, _MOST_WINDOWS), None)
        windows = drawn(index.starts[~held_back], _MOST_WINDOWS)
        others = drawn(index.starts[held_back], _MOST_HELD_BACK)
        return cls(spread, windows, float(_to_nearest(others, windows).mean()))

    def of_plans(self, plans: Float[np.ndarray, "plan row observation"]) -> Float[np.ndarray, " plan"]:
        """Returns the distance of each plan to the nearest window.

        Args:
            plans: Planned observations in raw units, as many rows as a window has.
        """
        return _to_nearest((plans / self.spread).reshape(len(plans), -1), self.windows)


def _to_nearest(
    points: Float[np.ndarray, "point entry"], windows: Float[np.ndarray, "window entry"]
) -> Float[np.ndarray, " point"]:
    squares = (windows**2).sum(axis=1)
    nearest = []
    for first in range(0, len(points), _AT_ONCE):
        few = points[first : first + _AT_ONCE]
        product = few @ windows.T
        nearest.append(((few**2).sum(axis=1)[:, None] - 2 * product + squares).min(axis=1))
    means = np.concatenate(nearest) / windows.shape[1]
    # Rounding makes the square of a small distance negative.
    return np.sqrt(np.maximum(means, 0.0))
