"""What is said below a table of evaluations that were not counted."""

from collections.abc import Sequence

_MOST_NAMED = 3


def repetition_notes(dropped: Sequence[str]) -> list[str]:
    """Names the first few.

    Args:
        dropped: Sentences without a full stop, see ``PooledScores``; the same one may come several times.
    """
    texts = list(dict.fromkeys(dropped))
    notes = [f"{text}." for text in texts[:_MOST_NAMED]]
    more = len(texts) - _MOST_NAMED
    return [*notes, f"{more} more evaluations repeat episodes and are not counted."] if more > 0 else notes
