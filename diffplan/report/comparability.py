"""Which results may be averaged together."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from diffplan.errors import ResultError
from diffplan.report.results import StoredResult

ASPECTS = ("data", "environment", "versions", "settings", "episodes")
_MOST_NAMED = 3
_MISSING = object()


def check_comparable(results: Sequence[StoredResult], protocol: str, allow: Collection[str] = ()) -> list[str]:
    """Makes sure that results differ in nothing but their training seed.

    Several evaluations of one training seed count as one with the episodes of all.

    Args:
        results: Results of one task, at least one.
        protocol: ``single_task`` or ``multi2d``.
        allow: The members of ``ASPECTS`` in which the results may differ.

    Returns:
        The aspects that differ and were allowed to.

    Raises:
        ResultError: Something else differs. The message names two runs and how they differ.
    """
    episodes: dict[int, set[int]] = {}
    for stored in results:
        episodes.setdefault(stored.result.seed, set()).update(stored.episodes(protocol).seeds)
    found = set()
    first = results[0]
    for other in results[1:]:
        for aspect in ASPECTS:
            if aspect == "episodes":
                ours, theirs = (episodes[stored.result.seed] for stored in (first, other))
                numbers = f"{len(ours)} and {len(theirs)} episodes, {len(ours & theirs)} in common"
                change = None if ours == theirs else numbers
            else:
                change = describe_changes(*(_facts(stored, aspect, allow) for stored in (first, other)))
            if change and aspect not in allow:
                raise ResultError(
                    f"results that differ in {aspect} are not averaged: {first.source} and {other.source} "
                    f"({change}); keep them apart with --name, --sweep or --results, or add --allow {aspect}."
                )
            found |= {aspect} if change else set()
    return [aspect for aspect in ASPECTS if aspect in found]


def _facts(stored: StoredResult, aspect: str, allow: Collection[str]) -> Mapping[str, Any]:
    if aspect != "settings":
        return getattr(stored.result, aspect)
    # Other data may come from another source.
    return {
        key: value for key, value in stored.settings.items() if "data" not in allow or not key.startswith("source.")
    }


def describe_changes(one: Mapping[str, Any], two: Mapping[str, Any]) -> str | None:
    """Names the first few differences, such as ``backbone.dim 8 / 16``; None if there is no difference."""
    keys = [key for key in {**one, **two} if one.get(key, _MISSING) != two.get(key, _MISSING)]
    texts = [f"{key} {_text(one.get(key))} / {_text(two.get(key))}" for key in keys[:_MOST_NAMED]]
    rest = [f"{len(keys) - _MOST_NAMED} more"] if len(keys) > _MOST_NAMED else []
    return ", ".join(texts + rest) or None


def _text(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:12]}..."
