"""Learning curves of cells: the mean over training seeds, with a band of one standard error."""

import math
from collections.abc import Sequence

import numpy as np

from diffplan.report.curve import Curve
from diffplan.report.run_record import RunRecord


def seed_curve(records: Sequence[RunRecord], key: str, label: str, smooth: bool = False) -> Curve | None:
    """Averages a number over the training seeds of a cell, at the steps where all of them logged it.

    Args:
        records: A run each seed.
        key: Metric key.
        label: Name in the legend.
        smooth: Draws a running mean over the values.

    Returns:
        None where fewer than two steps have a value. One seed has no band.
    """
    series = [dict(zip(*record.series(key), strict=True)) for record in records]
    series = [{step: value for step, value in points.items() if math.isfinite(value)} for points in series]
    steps = sorted(set.intersection(*(set(points) for points in series))) if series else []
    if len(steps) < 2:
        return None
    values = np.array([[points[step] for step in steps] for points in series])
    spreads = values.std(axis=0, ddof=1) / math.sqrt(len(series)) if len(series) > 1 else None
    return Curve(
        label=label,
        steps=steps,
        values=values.mean(axis=0).tolist(),
        spreads=None if spreads is None else spreads.tolist(),
        smooth=smooth,
    )
