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

    Args:
        results: Of one task.
        protocol: ``single_task`` or ``multi2d``.
        allow: Which of ``data``, ``environment``, ``versions``, ``settings``, ``episodes`` may differ nevertheless.

    Returns:
        The aspects that differ and were allowed to.

    Raises:
        ResultError: Something else differs; the message names two runs and how they differ.
    """
    found = []
    first = results[0]
    for other in results[1:]:
        for aspect in ASPECTS:
            change = _difference(first, other, aspect, protocol, allow)
            if not change:
                continue
            if aspect not in allow:
                raise ResultError(
                    f"results that differ in {aspect} are not averaged: {first.source} and {other.source} "
                    f"({change}); keep them apart with --name, --sweep or --results, or add --allow {aspect}."
                )
            found.append(aspect)
    return [aspect for aspect in ASPECTS if aspect in found]


def _difference(
    first: StoredResult, other: StoredResult, aspect: str, protocol: str, allow: Collection[str]
) -> str | None:
    if aspect == "episodes":
        ours, theirs = (set(stored.episodes(protocol).seeds) for stored in (first, other))
        return None if ours == theirs else f"{len(ours)} and {len(theirs)} episodes, {len(ours & theirs)} in common"
    one, two = (_facts(stored, aspect) for stored in (first, other))
    if aspect == "settings" and "data" in allow:
        one, two = ({k: v for k, v in facts.items() if not k.startswith("source.")} for facts in (one, two))
    return describe_changes(one, two)


def _facts(stored: StoredResult, aspect: str) -> Mapping[str, Any]:
    return stored.settings if aspect == "settings" else getattr(stored.result, aspect)


def describe_changes(one: Mapping[str, Any], two: Mapping[str, Any]) -> str | None:
    """Says how two sets of facts differ: ``backbone.dim 8 / 16``, the first few; None if they agree."""
    keys = [key for key in {**one, **two} if one.get(key, _MISSING) != two.get(key, _MISSING)]
    texts = [f"{key} {_text(one.get(key))} / {_text(two.get(key))}" for key in keys[:_MOST_NAMED]]
    rest = [f"{len(keys) - _MOST_NAMED} more"] if len(keys) > _MOST_NAMED else []
    return ", ".join(texts + rest) or None


def _text(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:12]}..."
