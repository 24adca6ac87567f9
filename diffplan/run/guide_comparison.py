"""Tells whether a guide gained anything: a few episodes played without it, beside the guided ones."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from diffplan.env.score import PairedDifference, standard_error
from diffplan.method.guide import NoGuide


@dataclass(frozen=True)
class GuideComparison:
    """Holds the scores of episodes that were played with and without the guide.

    Attributes:
        guided: Score of each episode with the guide.
        unguided: Score of each episode with one plan and no guide, on the same seeds.
        complete: Whether all episodes without a guide have ended.
    """

    guided: Float[np.ndarray, " episode"]
    unguided: Float[np.ndarray, " episode"]
    complete: bool = True

    @property
    def gain(self) -> PairedDifference:
        """By how much the guide raises the score."""
        return PairedDifference.of(self.guided, self.unguided)

    @property
    def is_harmful(self) -> bool:
        """Whether the guide lowers the score: the whole 95 % interval of its gain lies below 0."""
        return self.gain.high < 0

    def metrics(self) -> dict[str, float]:
        """Returns the numbers for the loggers; the documentation's table of metrics explains them."""
        numbers = {
            "no_guide_score_mean": float(self.unguided.mean()),
            "no_guide_score_stderr": standard_error(self.unguided),
            "guide_gain_mean": self.gain.mean,
        }
        if math.isfinite(self.gain.low):
            numbers |= {"guide_gain_low": self.gain.low, "guide_gain_high": self.gain.high}
        return numbers

    def sentence(self) -> str:
        """Compares the two for people."""
        gain, count = self.gain, len(self.guided)
        interval = f", 95 % interval {gain.low:.1f} to {gain.high:.1f}" if math.isfinite(gain.low) else ""
        episodes = "one episode scores" if count == 1 else f"{count} episodes score"
        scores = (
            f"{episodes} {self.guided.mean():.1f} with the guide and {self.unguided.mean():.1f} without "
            f"({gain.mean:+.1f}{interval})"
        )
        if self.is_harmful:
            return f"Guidance lowers the score: {scores}; plan with guide=no_guide, or see `diffplan guidance --help`."
        return f"Guidance beside no guide: {scores}."


def without_guide(planner: Callable[..., Any]) -> Callable[..., Any] | None:
    """Returns what builds the same planner without its guide, for one plan at a time.

    Args:
        planner: Builds a planner from a model and a critic.

    Returns:
        None if the planner follows no guide.
    """
    settings = planner.keywords if isinstance(planner, functools.partial) else {}
    guide = settings.get("guide")
    if guide is None or getattr(guide, "func", guide) is NoGuide:
        return None
    return functools.partial(planner, guide=NoGuide, **({"num_candidates": 1} if "num_candidates" in settings else {}))
