"""The tables of the paper, as published."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

TABLES = (1, 2, 3)
_PUBLISHED = Path(__file__).parents[1] / "paper"


@dataclass(frozen=True)
class PaperRow:
    """One row.

    Attributes:
        label: As the paper has it.
        task: D4RL id; None for a task that is not here.
        protocol: ``single_task`` or ``multi2d``.
        scores: Mean and, where there is one, standard error, by method.
    """

    label: str
    task: str | None
    protocol: str
    scores: Mapping[str, tuple[float, float | None]]


@dataclass(frozen=True)
class PaperSection:
    """Rows with one average.

    Attributes:
        name: Heading; None for none.
        average: What the average is called.
        rows: The rows.
    """

    name: str | None
    average: str
    rows: Sequence[PaperRow]


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper.

    Attributes:
        number: Its number there.
        title: What it is about.
        source: Where the numbers were read.
        methods: Published columns.
        num_episodes: The paper's, of every cell.
        sections: The rows.
    """

    number: int
    title: str
    source: str
    methods: Sequence[str]
    num_episodes: int
    sections: Sequence[PaperSection]

    @classmethod
    def read(cls, number: int) -> "PaperTable":
        """Reads ``paper/table<number>.yaml`` beside this file."""
        content = yaml.safe_load((_PUBLISHED / f"table{number}.yaml").read_text(encoding="utf-8"))
        sections = [
            PaperSection(section["name"], section["average"], [_row(row) for row in section["rows"]])
            for section in content.pop("sections")
        ]
        return cls(number=number, sections=sections, **content)

    @property
    def rows(self) -> list[PaperRow]:
        """Of all sections."""
        return [row for section in self.sections for row in section.rows]


def _row(content: dict[str, Any]) -> PaperRow:
    scores = {method: _score(score) for method, score in content.pop("scores").items()}
    return PaperRow(scores=scores, **content)


def _score(score: float | list[float]) -> tuple[float, float | None]:
    return (float(score[0]), float(score[1])) if isinstance(score, list) else (float(score), None)
