"""The same sheet as terminal text, Markdown, LaTeX and CSV."""

import csv
import html
import io
import re
import textwrap
from collections.abc import Callable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from diffplan.report.table.sheet import Sheet, SheetCell

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "–": "--", "<": r"\textless{}",  # noqa: RUF001
    ">": r"\textgreater{}", "|": r"\textbar{}",
}  # fmt: skip
_HEADING_WIDTH, _COLUMN_GAP = 24, 3
_MINUS = re.compile(r"(?<!\w)-(?=\d)")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]#|~])")


def sheet_text(sheet: Sheet, width: int) -> str:
    """Writes for a terminal; columns that do not fit beside each other come below, with the labels again.

    Args:
        sheet: The table.
        width: Letters in a line.
    """
    columns = [
        [*_heading(name).split("\n"), *_column_lines(sheet, number)] for number, name in enumerate(sheet.columns)
    ]
    widths = [max(len(line) for line in lines) + _COLUMN_GAP for lines in columns]
    label_width = max(len(text) for text in [sheet.corner, *(row.label for row in sheet.rows)])
    text = io.StringIO()
    # So wide that nothing is ever cut; the blocks keep to the width.
    console = Console(file=text, width=label_width + sum(widths) + width, color_system=None, highlight=False)
    console.print(Text(sheet.title))
    for block in _blocks(widths, width - label_width - _COLUMN_GAP):
        console.print(_terminal_table(sheet, block))
    below = [*(f"[{letter}] {mark}" for mark, letter in sheet.letters.items()), *sheet.notes]
    for note in below:
        console.print(Text(textwrap.fill(note, width, break_long_words=False, break_on_hyphens=False)))
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def sheet_markdown(sheet: Sheet) -> str:
    """Writes GitHub's Markdown."""
    head = [sheet.corner, *sheet.columns]
    lines = [f"**{_escape_markdown(sheet.title)}**", "", _markdown_row([_escape_markdown(text) for text in head])]
    lines.append(_markdown_row(["---", *["---:"] * len(sheet.columns)]))
    for row in sheet.rows:
        label = _escape_markdown(row.label)
        cells = [_cell_text(sheet, cell, _escape_markdown, "<br>", "<sup>{}</sup>") for cell in row.cells]
        cells = cells or [""] * len(sheet.columns)
        lines.append(_markdown_row([label if row.kind == "scores" else f"**{label}**", *cells]))
    lines.append("")
    lines += [f"<sup>{letter}</sup> {_escape_markdown(mark)}  " for mark, letter in sheet.letters.items()]
    lines += ["", *(f"{_escape_markdown(note)}  " for note in sheet.notes)]
    return "\n".join(lines).rstrip() + "\n"


def sheet_latex(sheet: Sheet) -> str:
    """Writes a LaTeX table that needs the package ``booktabs``."""
    lines = [r"% \usepackage{booktabs}", r"\begin{table}", r"\centering", rf"\caption{{{_escape_latex(sheet.title)}}}"]
    lines += [rf"\begin{{tabular}}{{l{'r' * len(sheet.columns)}}}", r"\toprule"]
    lines += [_latex_row([_escape_latex(text) for text in (sheet.corner, *sheet.columns)]), r"\midrule"]
    for number, row in enumerate(sheet.rows):
        label = _escape_latex(row.label)
        if row.kind == "heading":
            rule = [r"\midrule"] if number else []
            lines += [*rule, rf"\multicolumn{{{len(sheet.columns) + 1}}}{{l}}{{\textbf{{{label}}}}} \\"]
            continue
        cells = [_latex_cell(sheet, cell) for cell in row.cells]
        lines += [r"\midrule"] if row.kind == "average" else []
        lines.append(_latex_row([label, *cells]))
    lines += [r"\bottomrule", r"\end{tabular}", "", r"\smallskip", r"\begin{minipage}{\linewidth}\footnotesize"]
    lines += [rf"\textsuperscript{{{letter}}} {_escape_latex(mark)}.\\" for mark, letter in sheet.letters.items()]
    lines += [rf"{_escape_latex(note)}\\" for note in sheet.notes]
    return "\n".join([*lines, r"\end{minipage}", r"\end{table}", ""])


def sheet_csv(sheet: Sheet) -> str:
    """Writes one line a cell, with every statistic in a column of its own."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(sheet.records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(sheet.records)
    return text.getvalue()


def _heading(name: str) -> str:
    """Long headings over several lines."""
    return textwrap.fill(re.sub(r",(?=\S)", ", ", name), _HEADING_WIDTH, break_long_words=False)


def _column_lines(sheet: Sheet, number: int) -> list[str]:
    cells = [row.cells[number] for row in sheet.rows if row.cells]
    return [line for cell in cells for line in _cell_text(sheet, cell, str, "\n", " [{}]").split("\n")]


def _blocks(widths: Sequence[int], room: int) -> list[list[int]]:
    """Column numbers that fit beside each other."""
    blocks: list[list[int]] = [[]]
    for number, width in enumerate(widths):
        if blocks[-1] and sum(widths[other] for other in blocks[-1]) + width > room:
            blocks.append([])
        blocks[-1].append(number)
    return blocks


def _terminal_table(sheet: Sheet, block: Sequence[int]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column(Text(sheet.corner), no_wrap=True)
    for number in block:
        table.add_column(Text(_heading(sheet.columns[number])), justify="right", no_wrap=True)
    for position, row in enumerate(sheet.rows):
        cells = [_cell_text(sheet, row.cells[number], str, "\n", " [{}]") if row.cells else "" for number in block]
        after = sheet.rows[position + 1].kind if position + 1 < len(sheet.rows) else "scores"
        ends = row.kind == "average" and position + 1 < len(sheet.rows)
        table.add_row(Text(row.label), *(Text(cell) for cell in cells), end_section=ends or after == "average")
    return table


def _cell_text(sheet: Sheet, cell: SheetCell, escape: Callable[[str], str], line_break: str, raised: str) -> str:
    first, *rest = (escape(line) for line in cell.lines)
    marks = raised.format(",".join(sheet.letters_of(cell))) if cell.marks else ""
    return line_break.join([first + marks, *rest])


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escape_markdown(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", html.escape(" ".join(text.split()), quote=False))


def _latex_row(cells: Sequence[str]) -> str:
    return rf"{' & '.join(cells)} \\"


def _latex_cell(sheet: Sheet, cell: SheetCell) -> str:
    text = _cell_text(sheet, cell, _escape_latex, r"\\", r"\textsuperscript{{{}}}")
    return text if len(cell.lines) == 1 else rf"\shortstack[r]{{{text}}}"


def _escape_latex(text: str) -> str:
    escaped = "".join(_LATEX.get(letter, letter) for letter in " ".join(text.split()))
    return _MINUS.sub("$-$", escaped)
