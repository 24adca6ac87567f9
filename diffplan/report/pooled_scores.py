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
    """What one cell of a table rests on.

    Attributes:
        scores: Score by training seed and episode seed (a pandas Series with this index).
        results: The results that count.
        dropped: One sentence for every evaluation that repeats another and is not counted.
        allowed: The aspects in which the results differ because the user allowed it.
        decision_gflop: Operations for one environment step, in 1e9; None if one of the results does not know.
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

        A model that was evaluated twice on the same episodes counts once: the evaluation with more episodes stays, or
        the newer one of two equally long ones. Evaluations that overlap in part are joined.

        Args:
            table: Rows of one task and one protocol, see ``episode_table``.
            metric: ``score``, or ``latched`` for scores that count every step after first reaching the goal.
            allow: See ``check_comparable``.

        Raises:
            ResultError: The results cannot be compared, or have no such score.
        """
        protocol = str(table["protocol"].iloc[0])
        kept, dropped = _without_repetitions(stored_results(table), protocol)
        allowed = check_comparable(_with_all_episodes_of_their_seed(kept, protocol), protocol, allow)
        first_of_seed: dict[int, StoredResult] = {}
        for stored in kept:
            before = first_of_seed.setdefault(stored.result.seed, stored)
            if before is not stored:
                _check_overlap(before, stored, protocol)
        costs = [stored.episodes(protocol) for stored in kept]
        gflop = [cost.decision_gflop for cost in costs if cost.decision_gflop is not None]
        return cls(
            scores=_scores(table, kept, metric),
            results=kept,
            dropped=dropped,
            allowed=allowed,
            decision_gflop=float(np.mean(gflop)) if len(gflop) == len(costs) else None,
            decision_cpu_seconds=float(np.mean([cost.decision_cpu_seconds for cost in costs])),
        )

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
        """Compares pairs with the same training seed and episode; None if there are none."""
        paired = self.scores.index[self.scores.index.isin(other.scores.index)]
        return _statistics(self.scores[paired] - other.scores[paired]) if len(paired) else None

    def improvement(self, other: "PooledScores") -> ProbabilityOfImprovement | None:
        """Compares all training seeds on the episodes that all of them played; None if there are none."""
        ours, theirs = (pool.scores.unstack("episode").dropna(axis="columns") for pool in (self, other))
        common = ours.columns.intersection(theirs.columns)
        if common.empty:
            return None
        return ProbabilityOfImprovement.of(ours[common].to_numpy(), theirs[common].to_numpy())


def repetition_notes(dropped: Sequence[str]) -> list[str]:
    """Names the first few evaluations that are not counted, and the number of the others.

    Args:
        dropped: Sentences without a full stop, see ``PooledScores``; a sentence may occur several times.
    """
    texts = list(dict.fromkeys(dropped))
    notes = [f"{text}." for text in texts[:_MOST_NAMED]]
    more = len(texts) - _MOST_NAMED
    return [*notes, f"{more} more evaluations repeat episodes and are not counted."] if more > 0 else notes


def _statistics(scores: pd.Series) -> ScoreStatistics:
    return ScoreStatistics.of({seed: one.to_numpy() for seed, one in scores.groupby(level="seed")})


def _without_repetitions(results: Sequence[StoredResult], protocol: str) -> tuple[list[StoredResult], list[str]]:
    """Leaves out evaluations whose episodes another evaluation of the same model with the same settings contains."""
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
    checkpoint = stored.result.checkpoint
    model = stored.result.created if checkpoint is None else checkpoint.sha256
    return json.dumps([stored.result.seed, model, stored.settings], sort_keys=True)


def _with_all_episodes_of_their_seed(results: Sequence[StoredResult], protocol: str) -> list[StoredResult]:
    """Gives every result the episodes of all results of its training seed, for comparing and not for its scores."""
    joined: dict[int, set[int]] = {}
    for stored in results:
        joined.setdefault(stored.result.seed, set()).update(stored.episodes(protocol).seeds)
    return [_with_episodes(stored, protocol, joined[stored.result.seed]) for stored in results]


def _with_episodes(stored: StoredResult, protocol: str, seeds: set[int]) -> StoredResult:
    played = stored.episodes(protocol)
    if set(played.seeds) == seeds:
        return stored
    joined = played.model_copy(update={"seeds": sorted(seeds)})
    protocols = {**stored.result.protocols, protocol: joined}
    return StoredResult(stored.result.model_copy(update={"protocols": protocols}), stored.source)


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
    ours, theirs = (
        dict(zip(stored.episodes(protocol).seeds, stored.episodes(protocol).returns, strict=True))
        for stored in (one, two)
    )
    return all(np.isclose(ours[seed], theirs[seed], rtol=1e-6) for seed in ours.keys() & theirs.keys())


def _scores(table: pd.DataFrame, kept: Sequence[StoredResult], metric: str) -> pd.Series:
    """The scores of the kept results, by training seed and episode; seeds ascend, episodes keep their order."""
    column = "latched_score" if metric == "latched" else "score"
    number = table["result"].map(id).map({id(stored): number for number, stored in enumerate(kept)})
    rows = table[["seed", "episode", column]].assign(number=number).dropna(subset="number")
    rows = rows.sort_values("number", kind="stable").drop_duplicates(["seed", "episode"])
    missing = rows[rows[column].isna()]
    if len(missing):
        source = kept[int(missing["number"].iloc[0])].source
        raise ResultError(f"{source} has no {metric} score, for its task has no goal; choose --metric score.")
    return rows.set_index(["seed", "episode"])[column]
