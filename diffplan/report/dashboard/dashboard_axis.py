import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.ticker import LogLocator, MaxNLocator

# Values closer than this share of the axis would write their labels over each other.
_LEAST_GAP = 0.15
_MOST_LINEAR_RATIO = 20.0


@dataclass(frozen=True)
class DashboardAxis:
    """Where numbers lie along one side of a chart.

    Attributes:
        first: Pixel of the lower end.
        last: Pixel of the upper end.
        low: Transformed number at the lower end.
        high: The same at the upper end.
        kind: ``linear``, ``log``, or ``even`` for numbers that are only in order.
        values: Numbers that get a tick of their own; empty where ticks are round numbers.
    """

    first: float
    last: float
    low: float
    high: float
    kind: str = "linear"
    values: tuple[float, ...] = ()

    @classmethod
    def of_settings(cls, values: Sequence[float | int], first: float, last: float) -> "DashboardAxis":
        """An axis with a tick at each value: linear or logarithmic where the labels have room, evenly spaced otherwise.

        Args:
            values: What a setting took, all finite, at least one.
            first: Pixel of the lower end; the values keep a little away from it.
            last: Pixel of the upper end.
        """
        ordered = tuple(sorted({float(value) for value in values}))
        kind = next((kind for kind in ("linear", "log") if _has_room(ordered, kind)), "even")
        margin = 0.08 * (last - first)
        places = [_transform(value, kind, ordered) for value in ordered]
        return cls(first + margin, last - margin, places[0], places[-1], kind, ordered)

    @classmethod
    def of_quantity(
        cls, values: Sequence[float | int], first: float, last: float, may_be_log: bool = False
    ) -> "DashboardAxis":
        """An axis with round ticks around all values.

        Args:
            values: All finite, at least one.
            first: Pixel of the lower end.
            last: Pixel of the upper end.
            may_be_log: Takes a logarithmic one where positive values span a factor above twenty.
        """
        low, high = float(min(values)), float(max(values))
        if may_be_log and low > 0 and high / low > _MOST_LINEAR_RATIO:
            return cls(first, last, math.log10(low / 1.5), math.log10(high * 1.5), "log")
        margin = 0.08 * (high - low) or abs(high) * 0.1 or 1.0
        # A quantity that is never negative keeps its zero when it comes near.
        return cls(first, last, 0.0 if 0.0 <= low < 0.3 * high else low - margin, high + margin)

    def pixel(self, value: float | int) -> float:
        """Where a number lies."""
        place, width = _transform(value, self.kind, self.values), self.high - self.low
        return self.first + (self.last - self.first) * ((place - self.low) / width if width else 0.5)

    def ticks(self) -> list[float]:
        """Numbers to label, all on the axis."""
        if self.values:
            return list(self.values)
        if self.kind == "log":
            low, high = 10**self.low, 10**self.high
            ticks = LogLocator(subs=(1.0,), numticks=6).tick_values(low, high)
            inside = [float(tick) for tick in ticks if low <= tick <= high]
            if len(inside) >= 2:
                return inside
            return [float(t) for t in LogLocator(subs=(1.0, 2.0, 5.0)).tick_values(low, high) if low <= t <= high]
        ticks = MaxNLocator(nbins=5, steps=[1, 2, 5, 10]).tick_values(self.low, self.high)
        return [float(tick) for tick in ticks if self.low <= tick <= self.high]

    @property
    def note(self) -> str:
        """What a reader must know about the spacing; empty for a linear axis."""
        return {"linear": "", "log": "logarithmic", "even": "evenly spaced"}[self.kind]


def _transform(value: float | int, kind: str, ordered: tuple[float, ...]) -> float:
    if kind == "log":
        return math.log10(value)
    return float(ordered.index(value)) if kind == "even" else float(value)


def _has_room(ordered: tuple[float, ...], kind: str) -> bool:
    if kind == "log" and ordered[0] <= 0:
        return False
    places = [_transform(value, kind, ordered) for value in ordered]
    gaps = [after - before for before, after in itertools.pairwise(places)]
    even = math.isclose(min(gaps, default=0.0), max(gaps, default=0.0))
    return even or min(gaps) >= _LEAST_GAP * (places[-1] - places[0])
