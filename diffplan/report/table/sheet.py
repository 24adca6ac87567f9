"""A table before it is written in any format."""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

MISSING = "–"  # noqa: RUF001 (the dash that papers print for no number)


@dataclass(frozen=True)
class SheetCell:
    """One cell.

    Attributes:
        lines: Plain text, the most important line first.
        marks: Sentences that a reader must know, explained once below the table.
    """

    lines: Sequence[str] = (MISSING,)
    marks: Sequence[str] = ()


@dataclass(frozen=True)
class SheetRow:
    """One line of cells.

    Attributes:
        label: First column.
        cells: As many as the sheet has columns; none in a heading.
        kind: ``heading``, ``scores`` or ``average``.
    """

    label: str
    cells: Sequence[SheetCell] = ()
    kind: Literal["heading", "scores", "average"] = "scores"


@dataclass(frozen=True)
class Sheet:
    """A table of text with footnotes.

    Attributes:
        title: What it shows.
        corner: Heading of the first column.
        columns: Headings of the others.
        rows: From top to bottom.
        notes: Lines below that belong to no single cell.
        records: The same as data, one record a cell with every statistic; all have the same keys.
    """

    title: str
    corner: str
    columns: Sequence[str]
    rows: Sequence[SheetRow]
    notes: Sequence[str] = ()
    records: Sequence[Mapping[str, Any]] = field(default=(), repr=False)

    @cached_property
    def letters(self) -> dict[str, str]:
        """A letter for every mark in use, in the order of reading."""
        marks = dict.fromkeys(mark for row in self.rows for cell in row.cells for mark in cell.marks)
        return {mark: _letter(number) for number, mark in enumerate(marks)}

    def letters_of(self, cell: SheetCell) -> list[str]:
        """The letters of one cell's marks."""
        return sorted((self.letters[mark] for mark in cell.marks), key=lambda letter: (len(letter), letter))


def _letter(number: int) -> str:
    before, last = divmod(number, len(string.ascii_lowercase))
    return (_letter(before - 1) if before else "") + string.ascii_lowercase[last]
