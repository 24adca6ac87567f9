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
    """The runs with one combination of values; they differ in their training seed alone.

    Attributes:
        number: Counted from 1; pages name the cell and its colour by it.
        label: What was set, in words, or the run's name if nothing varies.
        values: One for each varied setting.
        is_baseline: Whether the other cells are compared with this one.
        pool: Its scores, results and cost.
        difference: To the baseline, of pairs with the same training seed and episode; None if there are no pairs.
        improvement: Over the baseline, on the episodes of both; None if they share none.
    """

    number: int
    label: str
    values: tuple[Value, ...]
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
        found = _Varied.of(table)
        found.check_number()
        pools = {values: PooledScores.of(rows, metric, allow) for values, rows in found.groups}
        kept = [stored for pool in pools.values() for stored in pool.results]
        changes_data = any(name.startswith("source") for one in found.settings for name in (one.name, *one.also))
        implied = ["settings", "episodes", *(["data"] if changes_data else [])]
        compared = check_comparable(kept, found.protocol, [*allow, *implied])
        chosen = _baseline(pools, found.settings, baseline, defaults or {})
        allowed = [aspect for aspect in compared if aspect not in implied]
        return found.ablation(pools, chosen, metric=metric, allowed=allowed)

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
        found = _Varied.of(table)
        reason = f"{len(found.settings)} settings vary" if len(found.settings) > _MOST_SETTINGS else ""
        if found.settings and not reason:
            try:
                return cls.of(table, "score", allow, baseline, defaults)
            except ResultError as error:
                reason = str(error)
        pools, problems = {}, []
        for values, rows in sorted(found.groups, key=lambda group: _order(group[0])):
            try:
                pools[values] = PooledScores.of(rows, "score", allow)
            except ResultError as error:
                problems.append((_label(found.settings, values) or "all runs", str(error)))
        allowed = sorted({aspect for pool in pools.values() for aspect in pool.allowed})
        return found.ablation(pools, None, metric="score", allowed=allowed, problems=problems, not_compared=reason)

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
        typed: Keys that a person changed; of settings that change together, one of these gives the name.
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
    task = config.get("task")
    scores = task.get("paper_scores") if isinstance(task, Mapping) else None
    entry = scores.get(protocol) if isinstance(scores, Mapping) else None
    entries = entry if isinstance(entry, list) else [entry]
    numbers = [float(number) for number in entries if isinstance(number, (int, float))]
    if not 1 <= len(numbers) == len(entries) <= 2:
        return None
    return numbers[0], numbers[1] if len(numbers) == 2 else None


def _name(key: str) -> str:
    return key.removesuffix("._target_")


def _partition(values: Sequence[Any]) -> tuple[int, ...]:
    """Numbers the distinct values by first appearance, so that equal partitions are equal tuples."""
    numbers: dict[str, int] = {}
    return tuple(numbers.setdefault(repr(value), len(numbers)) for value in values)


def _decides(finer: tuple[int, ...], coarser: tuple[int, ...]) -> bool:
    return len(set(zip(finer, coarser, strict=True))) == len(set(finer))


def _only_follows(chosen: str, key: str, experiments: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a key repeats the chosen one or comes and goes with a class."""
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


@dataclass(frozen=True)
class _Varied:
    """The results of one task and protocol, and the settings that vary among them."""

    table: pd.DataFrame
    results: Sequence[StoredResult]
    settings: Sequence[VariedSetting]

    @classmethod
    def of(cls, table: pd.DataFrame) -> "_Varied":
        results = stored_results(table)
        typed = {word.partition("=")[0] for stored in results for word in stored.ablation.split(",")}
        return cls(table, results, varied_settings([stored.settings for stored in results], typed))

    @property
    def protocol(self) -> str:
        return str(self.table["protocol"].iloc[0])

    @property
    def groups(self) -> list[tuple[tuple[Value, ...], pd.DataFrame]]:
        """Rows of the table by combination of values."""
        numbers: dict[tuple[Value, ...], list[int]] = {}
        for number in range(len(self.results)):
            numbers.setdefault(tuple(setting.values[number] for setting in self.settings), []).append(number)
        of_row = self.table["result"].map(id)
        return [
            (values, self.table[of_row.isin([id(self.results[number]) for number in numbers[values]])])
            for values in numbers
        ]

    def check_number(self) -> None:
        task, number = self.results[0].result.task, len(self.results)
        if not self.settings:
            raise ResultError(
                f"no setting varies among the {number} results of {task}, {self.protocol}; choose more with --name, "
                "--sweep, --group or --results."
            )
        if len(self.settings) > _MOST_SETTINGS:
            names = ", ".join(setting.name for setting in self.settings)
            raise ResultError(
                f"an ablation varies one or two settings, the {number} results of {task} vary {len(self.settings)}: "
                f"{names}; choose some with --name, --sweep, --group or --results."
            )

    def ablation(
        self, pools: Mapping[tuple[Value, ...], PooledScores], baseline: tuple[Value, ...] | None, **facts: Any
    ) -> Ablation:
        """Compares each pool with the baseline's. The cells are ordered by their values."""
        first = self.results[0].result
        other = None if baseline is None else pools[baseline]
        cells = []
        for number, values in enumerate(sorted(pools, key=_order), start=1):
            pool = pools[values]
            compared = () if other is None or pool is other else (pool.difference(other), pool.improvement(other))
            label = _label(self.settings, values) or first.name
            cells.append(AblationCell(number, label, values, values == baseline, pool, *compared))
        published = paper_score(first.config, self.protocol)
        return Ablation(
            task=first.task,
            protocol=self.protocol,
            settings=[setting.name for setting in self.settings],
            also=[setting.also for setting in self.settings],
            cells=cells,
            paper=published and published[0],
            **facts,
        )


def _label(varied: Sequence[VariedSetting], values: Sequence[Value]) -> str:
    return ", ".join(f"{one.name}={value_text(value)}" for one, value in zip(varied, values, strict=True))


def _order(values: tuple[Value, ...]) -> list[tuple[int, float, str]]:
    """Sorts None first, then numbers by size, then words."""
    return [
        (0, 0.0, "") if value is None
        else (2, 0.0, value) if isinstance(value, str)
        else (1, float(value), "")
        for value in values
    ]  # fmt: skip


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
    words = {
        values: [{word for word in stored.ablation.split(",") if word != "default"} for stored in pool.results]
        for values, pool in pools.items()
    }
    common = set.intersection(*(typed for of_cell in words.values() for typed in of_cell))
    unchanged = [values for values, of_cell in words.items() if all(typed <= common for typed in of_cell)]
    if len(unchanged) == 1:
        return unchanged[0]
    if not all({setting.name, f"{setting.name}._target_"} & defaults.keys() for setting in varied):
        return None
    default = tuple(_default_value(defaults, setting.name) for setting in varied)
    return default if default in pools else None


def _default_value(defaults: Mapping[str, Any], name: str) -> Value:
    key = f"{name}._target_" if f"{name}._target_" in defaults else name
    return _shown(key, defaults.get(key))
