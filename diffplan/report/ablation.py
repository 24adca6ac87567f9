"""Experiments of one task and protocol that differ in some settings: which ones, and what they do to the score."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from diffplan.config.settings import is_derived
from diffplan.errors import ResultError
from diffplan.report.comparability import check_comparable
from diffplan.report.pooled_scores import PooledScores
from diffplan.report.results import StoredResult, stored_results
from diffplan.report.statistics import ProbabilityOfImprovement, ScoreStatistics

Value = str | int | float | bool | None
_Values = tuple[Value, ...]
_MOST_SETTINGS = 2
_TITLES = {"single_task": "Single task", "multi2d": "Multi2D"}


@dataclass(frozen=True)
class VariedSetting:
    """A setting with more than one value.

    Attributes:
        name: Dotted key, or the group's name if another class was chosen.
        values: One for each experiment, as a person writes it.
        also: Keys of other settings that changed together with it, so that its effect may be theirs.
    """

    name: str
    values: Sequence[Value]
    also: Sequence[str]


@dataclass(frozen=True)
class AblationCell:
    """The runs with one combination of values. They differ only in their training seed.

    Attributes:
        number: Counted from 1. Pages use it as the name of the cell and its colour.
        label: What was set, in words, or the run's name if nothing varies.
        values: One for each varied setting.
        is_baseline: Whether the other cells are compared with this one.
        pool: Its scores, results and cost.
        difference: Difference from the baseline in pairs of equal training seed and episode; None without pairs.
        improvement: Probability of improvement over the baseline; None if they share no episode.
    """

    number: int
    label: str
    values: _Values
    is_baseline: bool
    pool: PooledScores
    difference: ScoreStatistics | None = None
    improvement: ProbabilityOfImprovement | None = None

    @property
    def statistics(self) -> ScoreStatistics:
        """Mean, interquartile mean and intervals of its scores."""
        return self.pool.statistics

    @property
    def values_text(self) -> str:
        """Its values as a person types them, or its label if nothing varies."""
        return ", ".join(value_text(value) for value in self.values) or self.label


@dataclass(frozen=True)
class Ablation:
    """What settings do to the score of a task under one protocol.

    Attributes:
        task: D4RL id.
        protocol: ``single_task`` or ``multi2d``.
        metric: ``score`` or ``latched``.
        settings: Names of the varied settings.
        also: What else changes with each of them.
        cells: Ordered by value.
        allowed: The aspects in which the cells differ because the user allowed it.
        problems: Cells that cannot be averaged, and why.
        not_compared: Why cells are not compared with a baseline; empty if they are, or if nothing varies.
        paper: The paper's mean on D4RL's data, if the config has it.
    """

    task: str
    protocol: str
    metric: str
    settings: Sequence[str]
    also: Sequence[Sequence[str]]
    cells: Sequence[AblationCell]
    allowed: Sequence[str]
    problems: Sequence[tuple[str, str]] = ()
    not_compared: str = ""
    paper: float | None = None

    @classmethod
    def of(
        cls,
        table: pd.DataFrame,
        metric: str = "score",
        allow: Collection[str] = (),
        baseline: str | None = None,
        defaults: Mapping[str, Any] | None = None,
    ) -> "Ablation":
        """Finds the one or two settings that vary and compares their values.

        Args:
            table: Rows of one task and one protocol, see ``episode_table``.
            metric: ``score`` or ``latched``.
            allow: See ``check_comparable``.
            baseline: The value to compare with, or two joined by a comma. If None, the experiment that changes nothing,
                or else the task's default.
            defaults: The task's default settings.

        Raises:
            ResultError: Nothing varies, more than two settings vary, or the results cannot be compared.
        """
        varied, groups = _varied(table)
        _check_number(varied, table)
        pools = {values: PooledScores.of(rows, metric, allow) for values, rows in groups.items()}
        kept = [stored for pool in pools.values() for stored in pool.results]
        changes_data = any(name.startswith("source") for one in varied for name in (one.name, *one.also))
        implied = ["settings", "episodes", *(["data"] if changes_data else [])]
        compared = check_comparable(kept, str(table["protocol"].iloc[0]), [*allow, *implied])
        chosen = _baseline(pools, varied, baseline, defaults or {})
        allowed = [aspect for aspect in compared if aspect not in implied]
        return _ablation(table, varied, pools, chosen, metric=metric, allowed=allowed)

    @classmethod
    def overview(
        cls,
        table: pd.DataFrame,
        allow: Collection[str] = (),
        baseline: str | None = None,
        defaults: Mapping[str, Any] | None = None,
    ) -> "Ablation":
        """Shows as much as can be shown. Cells that cannot be averaged are listed in ``problems``.

        The arguments are those of ``of``.
        """
        varied, groups = _varied(table)
        reason = f"{len(varied)} settings vary" if len(varied) > _MOST_SETTINGS else ""
        if varied and not reason:
            try:
                return cls.of(table, "score", allow, baseline, defaults)
            except ResultError as error:
                reason = str(error)
        pools, problems = {}, []
        for values, rows in sorted(groups.items(), key=lambda group: _order(group[0])):
            try:
                pools[values] = PooledScores.of(rows, "score", allow)
            except ResultError as error:
                problems.append((_label(varied, values) or "all runs", str(error)))
        allowed = sorted({aspect for pool in pools.values() for aspect in pool.allowed})
        return _ablation(
            table, varied, pools, None, metric="score", allowed=allowed, problems=problems, not_compared=reason
        )

    @property
    def title(self) -> str:
        """Task and protocol for people."""
        return f"{self.task}, {_TITLES.get(self.protocol, self.protocol)}"

    @property
    def baseline(self) -> AblationCell | None:
        """The cell that the others are compared with, if there is one."""
        return next((cell for cell in self.cells if cell.is_baseline), None)

    @property
    def results(self) -> list[StoredResult]:
        """The results of all cells."""
        return [stored for cell in self.cells for stored in cell.pool.results]


def varied_settings(experiments: Sequence[Mapping[str, Any]], typed: Collection[str] = ()) -> list[VariedSetting]:
    """Finds the smallest set of settings that tells experiments apart as well as all settings do.

    Settings that change together count as one, and so does a setting whose value another one decides.

    Args:
        experiments: Settings by dotted key, see ``StoredResult.settings``.
        typed: Keys that a person changed. One of them is preferred as the name of settings that change together.
    """
    keys = list(dict.fromkeys(key for settings in experiments for key in settings))
    partitions = {key: _partition([settings.get(key) for settings in experiments]) for key in keys}
    varying = {key: partition for key, partition in partitions.items() if len(set(partition)) > 1}
    groups: dict[tuple[int, ...], list[str]] = {}
    for key, partition in varying.items():
        groups.setdefault(partition, []).append(key)
    finest = [p for p in groups if not any(other != p and _decides(other, p) for other in groups)]
    varied = []
    for partition in finest:
        chosen = next((key for key in groups[partition] if _name(key) in typed), groups[partition][0])
        followers = [key for key, other in varying.items() if key != chosen and _decides(partition, other)]
        classes = [key for key in followers if key.endswith("._target_")]
        also = [
            _name(key)
            for key in followers
            if not _only_follows(chosen, key, experiments)
            and not any(keys.index(c) < keys.index(key) and _only_follows(c, key, experiments) for c in classes)
        ]
        values = [_shown(chosen, settings.get(chosen)) for settings in experiments]
        varied.append(VariedSetting(_name(chosen), values, also))
    return varied


def value_text(value: Value) -> str:
    """Returns a value as a person types it."""
    return "none" if value is None else str(value)


def paper_score(config: Mapping[str, Any], protocol: str) -> tuple[float, float | None] | None:
    """Reads ``task.paper_scores.<protocol>`` of a config: a mean, or a mean and its standard error."""
    entry: Any = config
    for key in ("task", "paper_scores", protocol):
        entry = entry.get(key) if isinstance(entry, Mapping) else None
    match entry if isinstance(entry, list) else [entry]:
        case [int() | float() as mean]:
            return float(mean), None
        case [int() | float() as mean, int() | float() as error]:
            return float(mean), float(error)
    return None


def _name(key: str) -> str:
    return key.removesuffix("._target_")


def _partition(values: Sequence[Any]) -> tuple[int, ...]:
    """Numbers the distinct values by first appearance, so that equal partitions are equal tuples."""
    numbers: dict[str, int] = {}
    return tuple(numbers.setdefault(repr(value), len(numbers)) for value in values)


def _decides(finer: tuple[int, ...], coarser: tuple[int, ...]) -> bool:
    return len(set(zip(finer, coarser, strict=True))) == len(set(finer))


def _only_follows(chosen: str, key: str, experiments: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a setting repeats the chosen one, or exists only for one class."""
    pairs = [(settings.get(chosen), settings.get(key)) for settings in experiments]
    if is_derived(key) or all(value in (one, None) for one, value in pairs):
        return True
    group, other_group = (name.rpartition(".")[0] for name in (chosen, key))
    # The scheduler of training has a key of its own only in runs that plan with another one.
    if f".{group}." in f".{key}" and chosen.endswith("._target_"):
        return True
    exists_once = len({repr(value) for _, value in pairs if value is not None}) == 1
    return group == other_group and (key.endswith("._target_") or exists_once)


def _shown(key: str, value: Any) -> Value:
    if key.endswith("._target_"):
        return str(value).rpartition(".")[2]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _varied(table: pd.DataFrame) -> tuple[list[VariedSetting], dict[_Values, pd.DataFrame]]:
    """Finds the settings that vary among the results of a table, and its rows by combination of values."""
    results = stored_results(table)
    typed = {word.partition("=")[0] for stored in results for word in stored.ablation.split(",")}
    varied = varied_settings([stored.settings for stored in results], typed)
    values = {id(stored): tuple(one.values[number] for one in varied) for number, stored in enumerate(results)}
    return varied, dict(list(table.groupby(table["result"].map(id).map(values), sort=False)))


def _check_number(varied: Sequence[VariedSetting], table: pd.DataFrame) -> None:
    task, protocol, number = table["task"].iloc[0], table["protocol"].iloc[0], len(stored_results(table))
    if not varied:
        raise ResultError(
            f"no setting varies among the {number} results of {task}, {protocol}; choose more with --name, --sweep, "
            "--group or --results."
        )
    if len(varied) > _MOST_SETTINGS:
        names = ", ".join(setting.name for setting in varied)
        raise ResultError(
            f"an ablation varies one or two settings, the {number} results of {task} vary {len(varied)}: {names}; "
            "choose some with --name, --sweep, --group or --results."
        )


def _ablation(
    table: pd.DataFrame, varied: Sequence[VariedSetting], pools: Mapping[_Values, PooledScores],
    baseline: _Values | None, **facts: Any,
) -> Ablation:  # fmt: skip
    """Compares each pool with the baseline's. The cells are ordered by their values."""
    first, protocol = table["result"].iloc[0].result, str(table["protocol"].iloc[0])
    other = None if baseline is None else pools[baseline]
    cells = []
    for number, values in enumerate(sorted(pools, key=_order), start=1):
        pool = pools[values]
        compared = () if other is None or pool is other else (pool.difference(other), pool.improvement(other))
        label = _label(varied, values) or first.name
        cells.append(AblationCell(number, label, values, values == baseline, pool, *compared))
    settings, also = [setting.name for setting in varied], [setting.also for setting in varied]
    paper = paper_score(first.config, protocol)
    return Ablation(first.task, protocol, settings=settings, also=also, cells=cells, paper=paper and paper[0], **facts)


def _label(varied: Sequence[VariedSetting], values: Sequence[Value]) -> str:
    return ", ".join(f"{one.name}={value_text(value)}" for one, value in zip(varied, values, strict=True))


def _order(values: _Values) -> list[tuple[int, float, str]]:
    """Sorts None first, then numbers by size, then words."""
    return [
        (0, 0.0, "") if value is None
        else (2, 0.0, value) if isinstance(value, str)
        else (1, float(value), "")
        for value in values
    ]  # fmt: skip


def _baseline(
    pools: Mapping[_Values, PooledScores],
    varied: Sequence[VariedSetting],
    baseline: str | None,
    defaults: Mapping[str, Any],
) -> _Values | None:
    if baseline is not None:
        named = {", ".join(value_text(value) for value in values): values for values in pools}
        wanted = ", ".join(part.strip() for part in baseline.split(","))
        if wanted not in named:
            raise ResultError(f"there is no value {baseline!r} to compare with; there are {' / '.join(named)}.")
        return named[wanted]
    # The baseline is the one cell whose runs changed nothing but what all runs changed.
    words = {
        values: [set(stored.ablation.split(",")) - {"default"} for stored in pool.results]
        for values, pool in pools.items()
    }
    common = set.intersection(*(typed for of_cell in words.values() for typed in of_cell))
    unchanged = [values for values, of_cell in words.items() if all(typed <= common for typed in of_cell)]
    if len(unchanged) == 1:
        return unchanged[0]
    if not all({setting.name, f"{setting.name}._target_"} & defaults.keys() for setting in varied):
        return None
    classes = {setting.name: f"{setting.name}._target_" for setting in varied}
    keys = [target if target in defaults else name for name, target in classes.items()]
    default = tuple(_shown(key, defaults.get(key)) for key in keys)
    return default if default in pools else None
