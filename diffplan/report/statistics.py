"""Computes means, interquartile means and the probability of improvement, with intervals from a bootstrap.

The bootstrap resamples training seeds, and then the episodes of each seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from diffplan.errors import ResultError

# The bootstrap draws a few resamples at a time, so that they fit into the processor's cache.
_NUM_RESAMPLES, _AT_ONCE = 2000, 50
_COVERAGE = 0.95


@dataclass(frozen=True)
class ScoreStatistics:
    """Holds the mean and the interquartile mean of the episodes of several training seeds.

    The intervals come from a bootstrap over training seeds, and then over the episodes of each seed. The bootstrap
    always draws the same random numbers. A single seed is not resampled, so its intervals describe its episodes and say
    nothing about other seeds.

    Attributes:
        mean: Mean score of all episodes.
        stderr: Standard error as the paper computes it: the population deviation of all episodes, divided by the root
            of their number.
        mean_interval: Lower and upper end of the 95 % interval of the mean.
        iqm: Interquartile mean of all episodes.
        iqm_interval: Lower and upper end of the 95 % interval of the interquartile mean.
        num_seeds: Number of training seeds.
        num_episodes: Number of episodes of all seeds together.
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
        """Computes all statistics.

        Args:
            scores_by_seed: Scores of the episodes of each training seed; every seed has at least one episode.
            resample_seeds: Whether training seeds are resampled; if False, only the episodes of each seed are.

        Raises:
            ResultError: There is no score, or a score is not finite.
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

    def record(self) -> dict[str, float]:
        """Returns the statistics by column of a CSV file; ``_low`` and ``_high`` name the ends of an interval."""
        (mean_low, mean_high), (iqm_low, iqm_high) = self.mean_interval, self.iqm_interval
        return {
            "mean": self.mean, "stderr": self.stderr, "mean_low": mean_low, "mean_high": mean_high, "iqm": self.iqm,
            "iqm_low": iqm_low, "iqm_high": iqm_high, "num_seeds": self.num_seeds, "num_episodes": self.num_episodes,
        }  # fmt: skip

    @property
    def count_text(self) -> str:
        """The number of training seeds and of the episodes of each seed, such as ``3 x 100``."""
        per_seed, rest = divmod(self.num_episodes, self.num_seeds)
        return f"{self.num_seeds} seeds, {self.num_episodes} episodes" if rest else f"{self.num_seeds} x {per_seed}"


@dataclass(frozen=True)
class ProbabilityOfImprovement:
    """Holds the probability that one training of ours scores higher than one of theirs on the same episode.

    Attributes:
        probability: Mean over all pairs of trainings and all episodes; a tie counts half.
        interval: Lower and upper end of the 95 % interval, from a bootstrap over the training seeds of both sides and
            over episodes.

    Reference:
        Agarwal et al. 2021, section 4.3, with episodes as tasks and training seeds as runs.
        Differs: A training seed is resampled with all its episodes, because they depend on each other.
    """

    probability: float
    interval: tuple[float, float]

    @classmethod
    def of(
        cls, ours: Float[np.ndarray, "ours episode"], theirs: Float[np.ndarray, "theirs episode"]
    ) -> "ProbabilityOfImprovement":
        """Compares every training of ours with every one of theirs, episode by episode.

        Args:
            ours: Scores of our trainings. A column holds the same episode in both arrays.
            theirs: Scores of their trainings.
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


def interquartile_mean(
    values: Float[np.ndarray, " sample"], counts: Int[np.ndarray, "*batch sample"] | None = None
) -> Float[np.ndarray, "*batch"]:
    """Averages a sample without its lowest and its highest quarter.

    If the number of values is not a multiple of four, a quarter is rounded down, as in ``scipy.stats.trim_mean``.

    Args:
        values: The values; there is at least one.
        counts: How often each value occurs in each of many samples; None means one sample with each value once.
    """
    if counts is None:
        counts = np.ones(len(values), dtype=np.int64)
    order = np.argsort(values)
    ordered = values[order]
    last = np.cumsum(counts[..., order], axis=-1, dtype=np.float64)
    total = last[..., -1]
    low = total // 4
    high = total - low
    # The sum of the values whose rank lies between low and high, summed by parts.
    ranks = np.clip(last[..., :-1], low[..., None], high[..., None])
    middle = high * ordered[-1] - low * ordered[0] - ranks @ np.diff(ordered)
    return np.asarray(middle / (high - low))


def resample_counts(
    sizes: Sequence[int], num_resamples: int, rng: np.random.Generator, resample_groups: bool
) -> Int[np.ndarray, "resample value"]:
    """Draws groups with replacement, then from each drawn group as many values as it has, with replacement.

    Args:
        sizes: Number of values of each group.
        num_resamples: Number of resamples.
        rng: Generator of the random numbers.
        resample_groups: Whether groups are drawn; if False, every group is taken once and only its values are drawn.

    Returns:
        How often each resample holds each value; the values of the first group come first.
    """
    group_sizes, total = np.array(sizes), sum(sizes)
    starts = np.cumsum(group_sizes) - group_sizes
    chosen = draw_groups(len(sizes), num_resamples, rng, resample_groups)
    limits = group_sizes[chosen][..., None]
    picked = (rng.random((*chosen.shape, group_sizes.max())) * limits).astype(np.int64)
    picked += starts[chosen][..., None]
    if len(set(sizes)) > 1:
        # Draws beyond the end of a smaller group are counted in one extra place behind the last value.
        picked = np.where(np.arange(group_sizes.max()) < limits, picked, total)
    picked += np.arange(num_resamples)[:, None, None] * (total + 1)
    counts = np.bincount(picked.ravel(), minlength=num_resamples * (total + 1))
    return counts.reshape(num_resamples, total + 1)[:, :total]


def percentile_interval(estimates: Float[np.ndarray, " resample"]) -> tuple[float, float]:
    """Returns the middle 95 % of resampled estimates."""
    low, high = np.quantile(estimates, [(1 - _COVERAGE) / 2, (1 + _COVERAGE) / 2])
    return float(low), float(high)


def draw_groups(
    num_groups: int, num_resamples: int, rng: np.random.Generator, resample_groups: bool
) -> Int[np.ndarray, "resample group"]:
    """Draws group numbers, or takes every group once."""
    size = (num_resamples, num_groups)
    return rng.integers(num_groups, size=size) if resample_groups else np.broadcast_to(np.arange(num_groups), size)


def _resampled(
    scores: Float[np.ndarray, " sample"], sizes: Sequence[int], resample_groups: bool
) -> tuple[Float[np.ndarray, " resample"], Float[np.ndarray, " resample"]]:
    """Returns the mean and the interquartile mean of every resample."""
    rng, means, iqms = np.random.default_rng(0), [], []
    order = np.argsort(scores)
    # Equal scores are counted together, because many episodes of a maze have the same score.
    values, starts = np.unique(scores[order], return_index=True)
    for _ in range(_NUM_RESAMPLES // _AT_ONCE):
        drawn = resample_counts(sizes, _AT_ONCE, rng, resample_groups)
        counts = np.add.reduceat(drawn[:, order], starts, axis=1)
        means.append(counts @ values / counts.sum(axis=1))
        iqms.append(interquartile_mean(values, counts))
    return np.concatenate(means), np.concatenate(iqms)


def _weights(size: int, rng: np.random.Generator, resamples: bool) -> Float[np.ndarray, "resample group"]:
    """Returns the share of each group in every resample."""
    drawn = draw_groups(size, _NUM_RESAMPLES, rng, resamples)
    flat = drawn + size * np.arange(_NUM_RESAMPLES)[:, None]
    return np.bincount(flat.ravel(), minlength=size * _NUM_RESAMPLES).reshape(_NUM_RESAMPLES, size) / size
