"""Tells D4RL's own numbers from look-alikes."""

import logging
from collections.abc import Mapping
from typing import Literal

from diffplan.data.catalog import CatalogEntry

logger = logging.getLogger(__name__)


def provenance(
    sha256: str,
    num_transitions: int,
    metadata: Mapping[str, str | int | float],
    entry: CatalogEntry | None,
    from_d4rl: bool,
) -> Literal["d4rl", "regenerated", "collected", "file"]:
    """Decides where the numbers of a file come from; only ``d4rl`` data may be reported as D4RL results.

    Args:
        sha256: Hash of the file.
        num_transitions: Its rows.
        metadata: What it says about itself.
        entry: The published data set it claims to be; None if there is none.
        from_d4rl: It lies in D4RL's cache, where D4RL or a download put it.

    Returns:
        ``d4rl`` if the hash is the published one or, where none is published, the file came from D4RL, has the
        published number of rows and does not say otherwise. ``regenerated`` and ``collected`` if it says so. Else
        ``file``.
    """
    if entry is not None and entry.sha256 == sha256:
        return "d4rl"
    said = _self_description(metadata)
    if said is not None:
        return said
    if entry is None or not from_d4rl:
        return "file"
    if entry.sha256 is not None:
        logger.warning("%s has not the published hash, so it does not count as D4RL's data.", entry.file_name)
        return "file"
    if entry.num_transitions not in (None, num_transitions):
        logger.warning(
            "%s has %s rows instead of D4RL's %s, so it does not count as D4RL's data.",
            entry.file_name,
            f"{num_transitions:,}",
            f"{entry.num_transitions:,}",
        )
        return "file"
    return "d4rl"


def _self_description(metadata: Mapping[str, str | int | float]) -> Literal["regenerated", "collected"] | None:
    words = " ".join(str(value) for value in metadata.values()).lower()
    if "generator" in metadata and "recipe" in str(metadata["generator"]):
        return "regenerated"
    if "generator" in metadata or "not d4rl" in words or "not a d4rl" in words:
        return "collected"
    return None
