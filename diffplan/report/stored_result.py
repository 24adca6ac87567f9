from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from diffplan.config.settings import comparable_settings, tried_words
from diffplan.run.result import EpisodeScores, Result


@dataclass(frozen=True)
class StoredResult:
    """A result and where it lies.

    Attributes:
        result: The record.
        source: Its file's path, or the address of its W&B run.
    """

    result: Result
    source: str

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """What was tried, by dotted key: the settings that decide the numbers, seeds aside, and the steps trained."""
        return comparable_settings(self.result.config) | {"step": self.result.step}

    @cached_property
    def ablation(self) -> str:
        """What training and planning changed, in words, or ``default``."""
        trained = str(self.result.config.get("ablation") or "default")
        parts = [trained] if self.result.ablation == trained else [trained, self.result.ablation]
        return ",".join(dict.fromkeys(word for part in parts for word in tried_words(part))) or "default"

    def episodes(self, protocol: str) -> EpisodeScores:
        """The episodes of one protocol, which must be there."""
        return self.result.protocols[protocol]
