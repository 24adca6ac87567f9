from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from diffplan.report.stored_result import StoredResult


@dataclass(frozen=True)
class DashboardSelection:
    """Which runs a dashboard is about; a word that is None admits all, ``*`` in a word stands for anything.

    Attributes:
        sweep: Name of a sweep.
        group: ``<task>/<name>/<ablation>`` as in W&B, or its first one or two parts.
        name: What was tried, in one word.
        task: D4RL id.
    """

    sweep: str | None = None
    group: str | None = None
    name: str | None = None
    task: str | None = None

    @property
    def words(self) -> dict[str, str]:
        """The words that were given."""
        return {key: value for key, value in vars(self).items() if value is not None}

    @property
    def text(self) -> str:
        """For a heading; ``all runs`` where nothing was given."""
        return ", ".join(f"{key} {value}" for key, value in self.words.items()) or "all runs"

    def admits(self, stored: StoredResult) -> bool:
        """Whether a result is of these runs."""
        result = stored.result
        facts = {"task": result.task, "name": result.name, "sweep": result.sweep, "ablation": stored.ablation}
        return self.admits_run(facts)

    def admits_run(self, facts: Mapping[str, Any]) -> bool:
        """Whether a run is one of these.

        Args:
            facts: Its ``task``, ``name``, ``ablation`` and ``sweep``.
        """
        path = f"{facts.get('task')}/{facts.get('name')}/{facts.get('ablation')}"
        group = self.group or "*"
        in_group = fnmatchcase(path, group) or path.startswith(f"{group.rstrip('/')}/")
        plain = {key: value for key, value in self.words.items() if key != "group"}
        return in_group and all(fnmatchcase(str(facts.get(key) or ""), value) for key, value in plain.items())
