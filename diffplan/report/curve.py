"""One line of a chart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Curve:
    """Values against training steps.

    Attributes:
        label: Name in the legend.
        steps: Training steps, ascending.
        values: One value a step; NaN leaves a gap.
        spreads: Half-widths of a band around the values (a standard error); None draws none.
        smooth: Draws the values faintly and a running mean over them.
    """

    label: str
    steps: Sequence[int]
    values: Sequence[float]
    spreads: Sequence[float] | None = None
    smooth: bool = False

    def finite(self) -> list[tuple[int, float]]:
        """Returns the points that have a value."""
        return [(s, v) for s, v in zip(self.steps, self.values, strict=True) if math.isfinite(v)]


def running_mean(values: Sequence[float], window: float | int) -> list[float]:
    """Averages each value with those before it, older ones counting less.

    Args:
        values: Finite values.
        window: About how many values count, at least 1; 1 changes nothing.
    """
    keep = 1.0 - 1.0 / max(window, 1.0)
    mean, weight, means = 0.0, 0.0, []
    for value in values:
        mean = keep * mean + (1.0 - keep) * value
        weight = keep * weight + (1.0 - keep)
        means.append(mean / weight)
    return means
