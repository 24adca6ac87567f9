"""Which settings a set of experiments varies, when those that only follow are left out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from diffplan.config.settings import is_derived


@dataclass(frozen=True)
class VariedSetting:
    """A setting with more than one value.

    Attributes:
        name: Dotted key; the group's name where another class was chosen.
        values: One for each experiment, as a person writes it.
        also: Keys of other settings that changed together with it, so that its effect is theirs too.
    """

    name: str
    values: Sequence[str | int | float | bool | None]
    also: Sequence[str]


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
        chosen = _leader(groups[partition], typed)
        followers = [key for key, other in varying.items() if key != chosen and _decides(partition, other)]
        classes = [key for key in followers if key.endswith("._target_")]
        also = [
            key
            for key in followers
            if not _only_follows(chosen, key, experiments)
            and not any(keys.index(c) < keys.index(key) and _only_follows(c, key, experiments) for c in classes)
        ]
        values = [_shown(chosen, settings.get(chosen)) for settings in experiments]
        varied.append(
            VariedSetting(chosen.removesuffix("._target_"), values, [k.removesuffix("._target_") for k in also])
        )
    return varied


def _partition(values: Sequence[Any]) -> tuple[int, ...]:
    """Numbers the distinct values by first appearance, so that equal partitions are equal tuples."""
    numbers: dict[str, int] = {}
    return tuple(numbers.setdefault(repr(value), len(numbers)) for value in values)


def _decides(finer: tuple[int, ...], coarser: tuple[int, ...]) -> bool:
    return len(set(zip(finer, coarser, strict=True))) == len(set(finer))


def _leader(keys: Sequence[str], typed: Collection[str]) -> str:
    return next((key for key in keys if key.removesuffix("._target_") in typed), keys[0])


def _only_follows(chosen: str, key: str, experiments: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a key repeats the chosen one or comes and goes with a class."""
    pairs = [(settings.get(chosen), settings.get(key)) for settings in experiments]
    if is_derived(key) or all(value in (one, None) for one, value in pairs):
        return True
    group, other_group = (name.rpartition(".")[0] for name in (chosen, key))
    # The trained scheduler is told apart from the planned one only where they differ.
    if f".{group}." in f".{key}" and chosen.endswith("._target_"):
        return True
    exists_once = len({repr(value) for _, value in pairs if value is not None}) == 1
    return group == other_group and (key.endswith("._target_") or exists_once)


def _shown(key: str, value: Any) -> str | int | float | bool | None:
    if key.endswith("._target_"):
        return str(value).rpartition(".")[2]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
