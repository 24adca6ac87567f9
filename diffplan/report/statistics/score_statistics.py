"""What a set of scores says about a method, and how sure that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from diffplan.errors import ResultError
from diffplan.report.statistics.interquartile_mean import interquartile_mean
from diffplan.report.statistics.stratified_bootstrap import percentile_interval, resample_counts

# Taken a few at a time, which stay in the processor's cache.
_NUM_RESAMPLES, _AT_ONCE = 2000, 50


@dataclass(frozen=True)
class ScoreStatistics:
    """Mean and interquartile mean of the episodes of several training seeds.

    Intervals come from resampling training seeds and then the episodes of each, always with the same random numbers.
    One seed alone is not resampled, so its intervals are about its episodes and say nothing of other seeds.

    Attributes:
        mean: Over all episodes.
        stderr: As the paper has it: population deviation over the root of the number of episodes of all seeds.
        mean_interval: Lower and upper end of 95 %.
        iqm: Interquartile mean over all episodes.
        iqm_interval: Lower and upper end of 95 %.
        num_seeds: Training seeds.
        num_episodes: Of all seeds together.
        seed_means: Mean of each training seed.

    Reference:
        Agarwal et al. 2021, Deep Reinforcement Learning at the Edge of the Statistical Precipice, section 4.
    """

    mean: float
    stderr: float
    mean_interval: tuple[float, float]
    iqm: float
    iqm_interval: tuple[float, float]
    num_seeds: int
    num_episodes: int
    seed_means: dict[int, float]

    @classmethod
    def of(
        cls, scores_by_seed: "Mapping[int, Float[np.ndarray, ' _'] | Sequence[float]]", resample_seeds: bool = True
    ) -> "ScoreStatistics":
        """Computes all of it.

        Args:
            scores_by_seed: Scores of a training seed's episodes, at least one episode a seed.
            resample_seeds: False leaves the seeds as they are and resamples the episodes of each.

        Raises:
            ResultError: there is no score, or one that is not finite.
        """
        groups = [np.asarray(scores, dtype=np.float64) for scores in scores_by_seed.values()]
        if not groups or any(len(group) == 0 for group in groups):
            raise ResultError("statistics need at least one episode of every training seed.")
        scores = np.concatenate(groups)
        if not np.isfinite(scores).all():
            raise ResultError("statistics need finite scores, got one that is not.")
        means, iqms = _resampled(scores, [len(group) for group in groups], resample_seeds and len(groups) > 1)
        return cls(
            mean=float(scores.mean()),
            stderr=float(scores.std() / np.sqrt(len(scores))),
            mean_interval=percentile_interval(means),
            iqm=float(interquartile_mean(scores)),
            iqm_interval=percentile_interval(iqms),
            num_seeds=len(groups),
            num_episodes=len(scores),
            seed_means={seed: float(group.mean()) for seed, group in zip(scores_by_seed, groups, strict=True)},
        )

    @property
    def count_text(self) -> str:
        """How much it rests on, seeds by episodes of each: ``3 x 100``."""
        per_seed, rest = divmod(self.num_episodes, self.num_seeds)
        return f"{self.num_seeds} seeds, {self.num_episodes} episodes" if rest else f"{self.num_seeds} x {per_seed}"


def _resampled(
    scores: Float[np.ndarray, " sample"], sizes: Sequence[int], resample_groups: bool
) -> tuple[Float[np.ndarray, " resample"], Float[np.ndarray, " resample"]]:
    """Mean and interquartile mean of every resample."""
    rng, means, iqms = np.random.default_rng(0), [], []
    order = np.argsort(scores)
    # Episodes of equal score, of which mazes have many, are counted together.
    values, starts = np.unique(scores[order], return_index=True)
    for _ in range(_NUM_RESAMPLES // _AT_ONCE):
        drawn = resample_counts(sizes, _AT_ONCE, rng, resample_groups)
        counts = np.add.reduceat(drawn[:, order], starts, axis=1)
        means.append(counts @ values / counts.sum(axis=1))
        iqms.append(interquartile_mean(values, counts))
    return np.concatenate(means), np.concatenate(iqms)
