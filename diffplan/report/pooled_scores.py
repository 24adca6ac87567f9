"""The episodes of all training seeds of one experiment, each counted once."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from diffplan.errors import ResultError
from diffplan.report.comparability import check_comparable
from diffplan.report.results import StoredResult, stored_results
from diffplan.report.statistics import ProbabilityOfImprovement, ScoreStatistics

_MOST_NAMED = 3


@dataclass(frozen=True)
class PooledScores:
    """The scores, results and cost behind one cell of a table.

    Attributes:
        scores: Score by training seed and episode seed (a pandas Series with this index).
        results: The results that are counted.
        dropped: A sentence for every evaluation that is not counted because it repeats another one.
        allowed: The aspects in which the results differ because the user allowed it.
        decision_gflop: Operations for one environment step, in 1e9; None if a result does not tell.
        decision_cpu_seconds: Processor time for one environment step.
    """

    scores: pd.Series
    results: Sequence[StoredResult]
    dropped: Sequence[str]
    allowed: Sequence[str]
    decision_gflop: float | None
    decision_cpu_seconds: float

    @classmethod
    def of(cls, table: pd.DataFrame, metric: str = "score", allow: Collection[str] = ()) -> "PooledScores":
        """Pools results that differ in their training seed alone.

        If a model was evaluated twice on the same episodes, only the evaluation with more episodes is counted, or the
        newer one of two equally long ones. Evaluations of which only some episodes overlap are joined.

        Args:
            table: Rows of one task and one protocol, see ``episode_table``.
            metric: ``score``, or ``latched`` for scores that count every step after first reaching the goal.
            allow: See ``check_comparable``.

        Raises:
            ResultError: The results cannot be compared, or have no such score.
        """
        protocol = str(table["protocol"].iloc[0])
        kept, dropped = _without_repetitions(stored_results(table), protocol)
        allowed = check_comparable(kept, protocol, allow)
        first_of_seed: dict[int, StoredResult] = {}
        for stored in kept:
            before = first_of_seed.setdefault(stored.result.seed, stored)
            if before is not stored:
                _check_overlap(before, stored, protocol)
        costs = [stored.episodes(protocol) for stored in kept]
        gflop = [cost.decision_gflop for cost in costs if cost.decision_gflop is not None]
        mean_gflop = float(np.mean(gflop)) if len(gflop) == len(costs) else None
        cpu_seconds = float(np.mean([cost.decision_cpu_seconds for cost in costs]))
        return cls(_scores(table, kept, metric), kept, dropped, allowed, mean_gflop, cpu_seconds)

    @cached_property
    def statistics(self) -> ScoreStatistics:
        """Mean, interquartile mean and intervals."""
        return _statistics(self.scores)

    @property
    def num_seeds(self) -> int:
        """Number of training seeds."""
        return self.scores.index.get_level_values("seed").nunique()

    @property
    def episodes_per_seed(self) -> int:
        """Number of episodes of the training seed that has fewest."""
        return int(self.scores.groupby(level="seed").size().min())

    def difference(self, other: "PooledScores") -> ScoreStatistics | None:
        """Compares the scores of equal training seeds in equal episodes; None if there are no such pairs."""
        paired = self.scores.index[self.scores.index.isin(other.scores.index)]
        return _statistics(self.scores[paired] - other.scores[paired]) if len(paired) else None

    def improvement(self, other: "PooledScores") -> ProbabilityOfImprovement | None:
        """Compares all training seeds on the episodes that all of them played; None if there is no such episode."""
        ours, theirs = (pool.scores.unstack("episode").dropna(axis="columns") for pool in (self, other))
        common = ours.columns.intersection(theirs.columns)
        if common.empty:
            return None
        return ProbabilityOfImprovement.of(ours[common].to_numpy(), theirs[common].to_numpy())


def repetition_notes(dropped: Sequence[str]) -> list[str]:
    """Names the first few evaluations in ``PooledScores.dropped`` of several pools, and counts the others."""
    texts = [f"{text}." for text in dict.fromkeys(dropped)]
    more = [f"{len(texts) - _MOST_NAMED} more evaluations repeat episodes and are not counted."]
    return texts[:_MOST_NAMED] + more * (len(texts) > _MOST_NAMED)


def _statistics(scores: pd.Series) -> ScoreStatistics:
    return ScoreStatistics.of({seed: one.to_numpy() for seed, one in scores.groupby(level="seed")})


def _without_repetitions(results: Sequence[StoredResult], protocol: str) -> tuple[list[StoredResult], list[str]]:
    """Leaves out evaluations if another one of the same model and settings has all their episodes.

    Returns:
        The evaluations that remain, and a sentence for each that was left out.
    """
    ordered = sorted(results, key=lambda s: s.result.created, reverse=True)
    ordered.sort(key=lambda s: -len(s.episodes(protocol).seeds))
    kept: dict[str, list[StoredResult]] = {}
    dropped = []
    for stored in ordered:
        same = kept.setdefault(_identity(stored), [])
        seeds = set(stored.episodes(protocol).seeds)
        larger = next((other for other in same if seeds <= set(other.episodes(protocol).seeds)), None)
        if larger is None:
            same.append(stored)
        elif larger.result != stored.result:
            differ = "" if _agree(larger, stored, protocol) else ", and their returns differ"
            dropped.append(f"{stored.source} repeats episodes of {larger.source} and is not counted{differ}")
    chosen = [stored for same in kept.values() for stored in same]
    return sorted(chosen, key=lambda s: (s.result.seed, s.source)), sorted(dropped)


def _identity(stored: StoredResult) -> str:
    """Returns a text that is equal for evaluations of one model with the same settings."""
    checkpoint = stored.result.checkpoint
    model = stored.result.created if checkpoint is None else checkpoint.sha256
    return json.dumps([stored.result.seed, model, stored.settings], sort_keys=True)


def _check_overlap(before: StoredResult, after: StoredResult, protocol: str) -> None:
    if _identity(before) != _identity(after):
        raise ResultError(
            f"training seed {before.result.seed} is there twice, with different checkpoints: {before.source} and "
            f"{after.source}; keep them apart with --name, --sweep or --results."
        )
    if not _agree(before, after, protocol):
        raise ResultError(
            f"{before.source} and {after.source} played the same episodes with the same checkpoint and got different "
            "returns; leave one of them out."
        )


def _agree(one: StoredResult, two: StoredResult, protocol: str) -> bool:
    """Whether two evaluations got the same returns in the episodes that both played."""
    played = [stored.episodes(protocol) for stored in (one, two)]
    ours, theirs = (pd.Series(episodes.returns, episodes.seeds) for episodes in played)
    both = ours.index.intersection(theirs.index)
    return np.allclose(ours[both], theirs[both], rtol=1e-6)


def _scores(table: pd.DataFrame, kept: Sequence[StoredResult], metric: str) -> pd.Series:
    """Returns the scores of the kept results by training seed and episode, in the order of the results."""
    column = "latched_score" if metric == "latched" else "score"
    rows = pd.concat([table[table["result"].map(id) == id(stored)] for stored in kept])
    rows = rows.drop_duplicates(["seed", "episode"])
    without = rows.loc[rows[column].isna(), "source"]
    if len(without):
        source = without.iloc[0]
        raise ResultError(f"{source} has no {metric} score, because its task has no goal; choose --metric score.")
    return rows.set_index(["seed", "episode"])[column]
