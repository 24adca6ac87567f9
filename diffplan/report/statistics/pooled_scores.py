"""The episodes of all training seeds of one experiment, each counted once."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from diffplan.errors import ResultError
from diffplan.report.comparability import check_comparable
from diffplan.report.statistics.score_statistics import ScoreStatistics
from diffplan.report.stored_result import StoredResult


@dataclass(frozen=True)
class PooledScores:
    """What one cell of a table rests on.

    Attributes:
        scores: Score by training seed and by episode seed.
        results: Those that count.
        dropped: What was evaluated a second time, in words.
        allowed: In what the results differ because it was allowed.
        decision_gflop: Operations for one environment step, in 1e9; None where some result does not know.
        decision_cpu_seconds: Processor time for the same.
    """

    scores: Mapping[int, Mapping[int, float]]
    results: Sequence[StoredResult]
    dropped: Sequence[str]
    allowed: Sequence[str]
    decision_gflop: float | None
    decision_cpu_seconds: float

    @classmethod
    def of(
        cls, results: Sequence[StoredResult], protocol: str, metric: str = "score", allow: Collection[str] = ()
    ) -> "PooledScores":
        """Pools results that differ in their training seed alone.

        A model that was evaluated twice on the same episodes counts once: the evaluation with more episodes stays, or
        the newer one. Evaluations that overlap in part are joined.

        Args:
            results: Of one task, each with the protocol.
            protocol: ``single_task`` or ``multi2d``.
            metric: ``score``, or ``latched`` for scores that count every step after first reaching the goal.
            allow: See ``check_comparable``.

        Raises:
            ResultError: the results cannot be compared, or have no such score.
        """
        kept, dropped = _without_repetitions(results, protocol)
        allowed = check_comparable(_longest(kept, protocol), protocol, allow)
        scores: dict[int, dict[int, float]] = {}
        sources: dict[int, StoredResult] = {}
        for stored in kept:
            seed = stored.result.seed
            before = sources.setdefault(seed, stored)
            if before is not stored:
                _check_overlap(before, stored, protocol)
            scores.setdefault(seed, {}).update(_scores(stored, protocol, metric))
        costs = [stored.episodes(protocol) for stored in kept]
        gflop = [cost.decision_gflop for cost in costs if cost.decision_gflop is not None]
        return cls(
            scores=dict(sorted(scores.items())),
            results=kept,
            dropped=dropped,
            allowed=allowed,
            decision_gflop=float(np.mean(gflop)) if len(gflop) == len(costs) else None,
            decision_cpu_seconds=float(np.mean([cost.decision_cpu_seconds for cost in costs])),
        )

    @property
    def statistics(self) -> ScoreStatistics:
        """Mean, interquartile mean and intervals."""
        return ScoreStatistics.of({seed: list(episodes.values()) for seed, episodes in self.scores.items()})

    @property
    def episodes_per_seed(self) -> int:
        """Episodes of the training seed that has fewest."""
        return min(len(episodes) for episodes in self.scores.values())


def _without_repetitions(results: Sequence[StoredResult], protocol: str) -> tuple[list[StoredResult], list[str]]:
    """Leaves out evaluations whose episodes another one of the same model with the same settings has too."""
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


def _longest(results: Sequence[StoredResult], protocol: str) -> list[StoredResult]:
    """All, but where a training seed has several, those of that seed take part with one set of episodes."""
    joined: dict[int, set[int]] = {}
    for stored in results:
        joined.setdefault(stored.result.seed, set()).update(stored.episodes(protocol).seeds)
    return [_with_episodes(stored, protocol, joined[stored.result.seed]) for stored in results]


def _with_episodes(stored: StoredResult, protocol: str, seeds: set[int]) -> StoredResult:
    """The same result as if it had played these episodes; for comparing, not for its scores."""
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
            f"{after.source}; keep them apart with name=..., sweep=... or results=...."
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


def _scores(stored: StoredResult, protocol: str, metric: str) -> dict[int, float]:
    episodes = stored.episodes(protocol)
    scores = episodes.latched_scores if metric == "latched" else episodes.scores
    if scores is None:
        raise ResultError(f"{stored.source} has no {metric} score, for its task has no goal; say metric=score.")
    return dict(zip(episodes.seeds, scores, strict=True))
