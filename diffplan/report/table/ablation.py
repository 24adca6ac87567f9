"""Experiments of one task that differ in one or two settings."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffplan.errors import ResultError
from diffplan.report.comparability import check_comparable
from diffplan.report.statistics.pooled_scores import PooledScores
from diffplan.report.statistics.probability_of_improvement import ProbabilityOfImprovement
from diffplan.report.statistics.score_statistics import ScoreStatistics
from diffplan.report.stored_result import StoredResult
from diffplan.report.table.varied_settings import VariedSetting, varied_settings

Value = str | int | float | bool | None
_MOST_SETTINGS = 2


@dataclass(frozen=True)
class AblationCell:
    """One combination of values.

    Attributes:
        values: One for each varied setting.
        is_baseline: Whether the others are compared with it.
        statistics: Of its scores.
        difference: To the baseline, of pairs with the same training seed and episode; None where there are none.
        improvement: Over the baseline, on the episodes of both; None where there are none.
        pool: Its scores, results and cost.
    """

    values: tuple[Value, ...]
    is_baseline: bool
    statistics: ScoreStatistics
    difference: ScoreStatistics | None
    improvement: ProbabilityOfImprovement | None
    pool: PooledScores


@dataclass(frozen=True)
class Ablation:
    """What one or two settings do to the score of a task.

    Attributes:
        task: D4RL id.
        protocol: ``single_task`` or ``multi2d``.
        metric: ``score`` or ``latched``.
        settings: Names of the varied settings.
        also: What else changes with each of them.
        cells: Ordered by value.
        allowed: In what the results differ because it was allowed.
    """

    task: str
    protocol: str
    metric: str
    settings: Sequence[str]
    also: Sequence[Sequence[str]]
    cells: Sequence[AblationCell]
    allowed: Sequence[str]

    @classmethod
    def of(
        cls,
        results: Sequence[StoredResult],
        protocol: str,
        metric: str = "score",
        allow: Collection[str] = (),
        baseline: str | None = None,
        defaults: Mapping[str, Any] | None = None,
    ) -> "Ablation":
        """Finds what varies and compares.

        Args:
            results: Of one task, each with the protocol.
            protocol: ``single_task`` or ``multi2d``.
            metric: ``score`` or ``latched``.
            allow: See ``check_comparable``.
            baseline: The value to compare with, or two joined by a comma; where none is given, that of the experiment
                that changes nothing, or else the task's default.
            defaults: The task's default settings.

        Raises:
            ResultError: nothing varies, more than two settings do, or the results cannot be compared.
        """
        varied = _varied(results, protocol)
        pools = _pools(results, varied, protocol, metric, allow)
        kept = [stored for pool in pools.values() for stored in pool.results]
        changes_data = any(name.startswith("source") for setting in varied for name in (setting.name, *setting.also))
        implied = ["settings", "episodes", *(["data"] if changes_data else [])]
        allowed = [a for a in check_comparable(kept, protocol, [*allow, *implied]) if a not in implied]
        chosen = _baseline(pools, varied, baseline, defaults or {})
        return cls(
            task=results[0].result.task,
            protocol=protocol,
            metric=metric,
            settings=[setting.name for setting in varied],
            also=[setting.also for setting in varied],
            cells=[_cell(values, pools, chosen) for values in sorted(pools, key=_order)],
            allowed=allowed,
        )

    @property
    def baseline(self) -> AblationCell | None:
        """The cell that the others are compared with, where there is one."""
        return next((cell for cell in self.cells if cell.is_baseline), None)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values, for JSON."""
        return {
            "task": self.task,
            "protocol": self.protocol,
            "metric": self.metric,
            "settings": list(self.settings),
            "also": [list(names) for names in self.also],
            "allowed": list(self.allowed),
            "cells": [_plain(cell) for cell in self.cells],
        }


def _varied(results: Sequence[StoredResult], protocol: str) -> list[VariedSetting]:
    task = results[0].result.task
    typed = {word.partition("=")[0] for stored in results for word in stored.ablation.split(",")}
    varied = varied_settings([stored.settings for stored in results], typed)
    if not varied:
        raise ResultError(
            f"no setting varies among the {len(results)} results of {task}, {protocol}; choose more with name=..., "
            "sweep=..., group=... or results=...."
        )
    if len(varied) > _MOST_SETTINGS:
        names = ", ".join(setting.name for setting in varied)
        raise ResultError(
            f"an ablation varies one or two settings, the {len(results)} results of {task} vary {len(varied)}: "
            f"{names}; choose some with name=..., sweep=..., group=... or results=...."
        )
    return varied


def _pools(
    results: Sequence[StoredResult],
    varied: Sequence[VariedSetting],
    protocol: str,
    metric: str,
    allow: Collection[str],
) -> dict[tuple[Value, ...], PooledScores]:
    members: dict[tuple[Value, ...], list[StoredResult]] = {}
    for number, stored in enumerate(results):
        members.setdefault(tuple(setting.values[number] for setting in varied), []).append(stored)
    return {values: PooledScores.of(stored, protocol, metric, allow) for values, stored in members.items()}


def _baseline(
    pools: Mapping[tuple[Value, ...], PooledScores],
    varied: Sequence[VariedSetting],
    baseline: str | None,
    defaults: Mapping[str, Any],
) -> tuple[Value, ...] | None:
    if baseline is not None:
        named = {", ".join(value_text(value) for value in values): values for values in pools}
        wanted = ", ".join(part.strip() for part in baseline.split(","))
        if wanted not in named:
            raise ResultError(f"there is no value {baseline!r} to compare with; there are {' / '.join(named)}.")
        return named[wanted]
    words = {values: [_words(stored) for stored in pool.results] for values, pool in pools.items()}
    common = set.intersection(*(typed for of_cell in words.values() for typed in of_cell))
    unchanged = [values for values, of_cell in words.items() if all(typed <= common for typed in of_cell)]
    if len(unchanged) == 1:
        return unchanged[0]
    if not all({setting.name, f"{setting.name}._target_"} & defaults.keys() for setting in varied):
        return None
    default = tuple(_default_value(defaults, setting.name) for setting in varied)
    return default if default in pools else None


def _words(stored: StoredResult) -> set[str]:
    """What a person typed; nothing for an experiment that changes nothing."""
    return {word for word in stored.ablation.split(",") if word != "default"}


def _default_value(defaults: Mapping[str, Any], name: str) -> Any:
    chosen = defaults.get(f"{name}._target_")
    value = defaults.get(name) if chosen is None else str(chosen).rpartition(".")[2]
    return str(value) if isinstance(value, (list, dict)) else value


def _cell(
    values: tuple[Value, ...], pools: Mapping[tuple[Value, ...], PooledScores], baseline: tuple[Value, ...] | None
) -> AblationCell:
    pool = pools[values]
    other = None if baseline in (None, values) else pools[baseline]
    return AblationCell(
        values=values,
        is_baseline=values == baseline,
        statistics=pool.statistics,
        difference=None if other is None else _difference(pool, other),
        improvement=None if other is None else _improvement(pool, other),
        pool=pool,
    )


def _difference(ours: PooledScores, theirs: PooledScores) -> ScoreStatistics | None:
    pairs = {
        seed: [
            score - theirs.scores[seed][episode] for episode, score in scores.items() if episode in theirs.scores[seed]
        ]
        for seed, scores in ours.scores.items()
        if seed in theirs.scores
    }
    pairs = {seed: differences for seed, differences in pairs.items() if differences}
    return ScoreStatistics.of(pairs) if pairs else None


def _improvement(ours: PooledScores, theirs: PooledScores) -> ProbabilityOfImprovement | None:
    everyone = [set(scores) for pool in (ours, theirs) for scores in pool.scores.values()]
    episodes = sorted(set.intersection(*everyone))
    if not episodes:
        return None
    tables = [
        np.array([[scores[episode] for episode in episodes] for scores in pool.scores.values()])
        for pool in (ours, theirs)
    ]
    return ProbabilityOfImprovement.of(*tables)


def value_text(value: Value) -> str:
    """A value as a person types it."""
    return "none" if value is None else str(value)


def _order(values: tuple[Value, ...]) -> list[tuple[int, float, str]]:
    """No value first, then numbers by size, then words."""
    return [
        (0, 0.0, "") if value is None
        else (2, 0.0, value) if isinstance(value, str)
        else (1, float(value), "")
        for value in values
    ]  # fmt: skip


def _plain(cell: AblationCell) -> dict[str, Any]:
    found, change, better = cell.statistics, cell.difference, cell.improvement
    return {
        "values": list(cell.values),
        "is_baseline": cell.is_baseline,
        "mean": found.mean,
        "stderr": found.stderr,
        "mean_interval": list(found.mean_interval),
        "iqm": found.iqm,
        "iqm_interval": list(found.iqm_interval),
        "num_seeds": found.num_seeds,
        "num_episodes": found.num_episodes,
        "seed_means": {str(seed): mean for seed, mean in found.seed_means.items()},
        "decision_gflop": cell.pool.decision_gflop,
        "decision_cpu_seconds": cell.pool.decision_cpu_seconds,
        "difference": None if change is None else change.mean,
        "difference_interval": None if change is None else list(change.mean_interval),
        "probability_of_improvement": None if better is None else better.probability,
        "probability_interval": None if better is None else list(better.interval),
        "results": [stored.source for stored in cell.pool.results],
    }
