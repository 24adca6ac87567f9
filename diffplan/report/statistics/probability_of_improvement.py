"""How probable it is that one method scores above another."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from diffplan.report.statistics.stratified_bootstrap import draw_groups, percentile_interval

_NUM_RESAMPLES = 2000


@dataclass(frozen=True)
class ProbabilityOfImprovement:
    """The probability that a training of ours scores above one of theirs on the same episode, averaged over episodes.

    Attributes:
        probability: Ties count half.
        interval: Lower and upper end of 95 %, of a bootstrap over the training seeds of both and over episodes.

    Reference:
        Agarwal et al. 2021, section 4.3, with episodes as tasks and training seeds as runs.
        Differs: a training seed is resampled with all its episodes, as they are not independent of each other.
    """

    probability: float
    interval: tuple[float, float]

    @classmethod
    def of(
        cls, ours: Float[np.ndarray, "ours episode"], theirs: Float[np.ndarray, "theirs episode"]
    ) -> "ProbabilityOfImprovement":
        """Compares every training of ours with every one of theirs, episode by episode.

        Args:
            ours: Scores; columns are the same episodes in both.
            theirs: Scores.
        """
        difference = ours[:, None] - theirs[None]
        wins = (difference > 0) + 0.5 * (difference == 0)
        rng = np.random.default_rng(0)
        weights = [
            _weights(size, rng, resamples=size > 1 or is_episode)
            for size, is_episode in zip(wins.shape, (False, False, True), strict=True)
        ]
        estimates = np.einsum("ra,rb,re,abe->r", *weights, wins, optimize=True)
        return cls(float(wins.mean()), percentile_interval(estimates))


def _weights(size: int, rng: np.random.Generator, resamples: bool) -> Float[np.ndarray, "resample group"]:
    """How often each group is drawn, as a share."""
    drawn = draw_groups(size, _NUM_RESAMPLES, rng, resamples)
    flat = drawn + size * np.arange(_NUM_RESAMPLES)[:, None]
    return np.bincount(flat.ravel(), minlength=size * _NUM_RESAMPLES).reshape(_NUM_RESAMPLES, size) / size
