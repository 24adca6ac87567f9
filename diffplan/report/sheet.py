"""A table of text with footnotes, written for the terminal, Markdown, LaTeX and CSV."""

import io
import re
import string
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, count, product
from typing import Any, Literal

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from diffplan.terminal import markdown_text, printable

MISSING = "–"  # noqa: RUF001 (the dash that papers print for no number)

_LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "–": "--", "<": r"\textless{}",  # noqa: RUF001
    ">": r"\textgreater{}", "|": r"\textbar{}",
})  # fmt: skip
_HEADING_WIDTH, _COLUMN_GAP = 24, 3
_MINUS = re.compile(r"(?<!\w)-(?=\d)")


@dataclass(frozen=True)
class SheetCell:
    """Lines of plain text, the most important one first, and the sentences that become footnotes of this cell."""

    lines: Sequence[str] = (MISSING,)
    marks: Sequence[str] = ()


@dataclass(frozen=True)
class SheetRow:
    """A row: its label in the first column, then a cell for each column of the sheet, or none in a heading."""

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
        """A letter for every mark in use, in reading order: a to z, then aa, ab and so on."""
        marks = dict.fromkeys(mark for row in self.rows for cell in row.cells for mark in cell.marks)
        lengths = (product(string.ascii_lowercase, repeat=length) for length in count(1))
        return dict(zip(marks, map("".join, chain.from_iterable(lengths)), strict=False))

    @property
    def footnotes(self) -> list[str]:
        """Explanations of the letters, then the notes."""
        return [*(f"[{letter}] {mark}" for mark, letter in self.letters.items()), *self.notes]

    def frame(self, escape: Callable[[str], str] = str, line_break: str = "\n", raised: str = " [{}]") -> pd.DataFrame:
        """Returns the cells as text, labels in the first column.

        Args:
            escape: Applied to every piece of text.
            line_break: Between the lines of a cell.
            raised: How the letters of a cell's marks are written behind its first line.
        """

        def text(cell: SheetCell) -> str:
            first, *rest = map(escape, cell.lines)
            letters = sorted((self.letters[mark] for mark in cell.marks), key=lambda letter: (len(letter), letter))
            return line_break.join([first + (raised.format(",".join(letters)) if letters else ""), *rest])

        blank = [SheetCell([""])] * len(self.columns)
        texts = [[escape(row.label), *map(text, row.cells or blank)] for row in self.rows]
        return pd.DataFrame(texts, columns=[escape(name) for name in (self.corner, *self.columns)])


def sheet_text(sheet: Sheet, width: int) -> str:
    """Writes a table for a terminal of ``width`` letters a line.

    Columns that do not fit beside each other are printed below, with the labels again.
    """
    frame = sheet.frame(printable)
    frame.columns = pd.Index([sheet.corner, *(_heading(printable(name)) for name in sheet.columns)])
    widths = [
        max(len(line) for text in (name, *frame.iloc[:, number]) for line in text.split("\n")) + _COLUMN_GAP
        for number, name in enumerate(frame.columns)
    ]
    blocks: list[list[int]] = [[0]]
    for number in range(1, len(widths)):
        if len(blocks[-1]) > 1 and sum(widths[other] for other in blocks[-1]) + widths[number] > width:
            blocks.append([0])
        blocks[-1].append(number)
    text = io.StringIO()
    # The console is so wide that it never cuts a column. The blocks keep to the width.
    console = Console(file=text, width=sum(widths) + width, color_system=None, highlight=False)
    console.print(Text(printable(sheet.title)))
    for block in blocks:
        console.print(_terminal_table(sheet, frame.iloc[:, block]))
    for note in sheet.footnotes:
        console.print(Text(textwrap.fill(printable(note), width, break_long_words=False, break_on_hyphens=False)))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def sheet_markdown(sheet: Sheet) -> str:
    """Writes GitHub's Markdown."""
    frame = sheet.frame(markdown_text, "<br>", "<sup>{}</sup>")
    frame.iloc[:, 0] = frame.iloc[:, 0].where(
        [row.kind == "scores" for row in sheet.rows], "**" + frame.iloc[:, 0] + "**"
    )
    align = ["left", *["right"] * len(sheet.columns)]
    table = frame.to_markdown(index=False, tablefmt="pipe", colalign=align, disable_numparse=True)
    marks = [f"<sup>{letter}</sup> {markdown_text(mark)}  " for mark, letter in sheet.letters.items()]
    notes = [f"{markdown_text(note)}  " for note in sheet.notes]
    lines = [f"**{markdown_text(sheet.title)}**", "", table, "", *marks, "", *notes]
    return "\n".join(lines).rstrip() + "\n"


def sheet_latex(sheet: Sheet) -> str:
    """Writes a LaTeX table that needs the package ``booktabs``."""
    frame = sheet.frame(_escape_latex, r"\\", r"\textsuperscript{{{}}}")
    for number, row in enumerate(sheet.rows):
        if row.kind == "heading":
            frame.iat[number, 0] = rf"\textbf{{{frame.iat[number, 0]}}}"
        # A rule is not part of pandas' tables, but may stand before the first cell of a row.
        if number and row.kind != "scores":
            frame.iat[number, 0] = f"\\midrule\n{frame.iat[number, 0]}"
        for column, cell in enumerate(row.cells, start=1):
            if len(cell.lines) > 1:
                frame.iat[number, column] = rf"\shortstack[r]{{{frame.iat[number, column]}}}"
    body = frame.to_latex(index=False, escape=False, column_format="l" + "r" * len(sheet.columns))
    lines = [r"% \usepackage{booktabs}", r"\begin{table}", r"\centering", rf"\caption{{{_escape_latex(sheet.title)}}}"]
    lines += [body, r"\smallskip", r"\begin{minipage}{\linewidth}\footnotesize"]
    lines += [rf"\textsuperscript{{{letter}}} {_escape_latex(mark)}.\\" for mark, letter in sheet.letters.items()]
    lines += [rf"{_escape_latex(note)}\\" for note in sheet.notes]
    return "\n".join([*lines, r"\end{minipage}", r"\end{table}", ""])


def sheet_csv(sheet: Sheet) -> str:
    """Writes one line a cell, with every statistic in a column of its own."""
    return pd.DataFrame(list(sheet.records), dtype=object).to_csv(index=False, lineterminator="\n")


def _heading(name: str) -> str:
    """Puts a long heading on several lines."""
    return textwrap.fill(re.sub(r",(?=\S)", ", ", name), _HEADING_WIDTH, break_long_words=False)


def _terminal_table(sheet: Sheet, frame: pd.DataFrame) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for number, name in enumerate(frame.columns):
        table.add_column(Text(name), justify="right" if number else "left", no_wrap=True)
    kinds = [row.kind for row in sheet.rows]
    for kind, after, texts in zip(kinds, [*kinds[1:], ""], frame.itertuples(index=False), strict=True):
        ends = kind == "average" and after != ""
        table.add_row(*(Text(text) for text in texts), end_section=ends or after == "average")
    return table


def _escape_latex(text: str) -> str:
    words = " ".join(printable(word) for word in text.split())
    return _MINUS.sub("$-$", words.translate(_LATEX))
