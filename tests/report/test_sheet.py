import csv
import io
import re

import pytest

from diffplan.report.sheet import Sheet, SheetCell, SheetRow, sheet_csv, sheet_latex, sheet_markdown, sheet_text


def sheet_with(*marks_of_cells):
    rows = [SheetRow("row", [SheetCell(["1"], marks)]) for marks in marks_of_cells]
    return Sheet("title", "", ["column"], rows)


def test_marks_have_letters_in_the_order_of_reading_and_each_one_only():
    sheet = sheet_with(["second hand", "partial"], [], ["partial", "old"])
    assert sheet.letters == {"second hand": "a", "partial": "b", "old": "c"}
    assert sheet.frame()["column"].tolist() == ["1 [a,b]", "1", "1 [b,c]"]


def test_letters_go_on_after_z():
    sheet = sheet_with([f"mark {number}" for number in range(54)], ["mark 26", "mark 25"])
    assert [sheet.letters[f"mark {number}"] for number in (25, 26, 51, 52)] == ["z", "aa", "az", "ba"]
    assert sheet.frame()["column"].iloc[-1] == "1 [z,aa]"


WICKED = r"a|b_c & 50% $x$ {y} #1 <b>\z ~^`*[link](x)"


def sheet(columns=("paper", "ours"), label="U-Maze", heading="Maze2D", mark="on other data", notes=("A note.",)):
    ours = SheetCell(["-99.0 ± 1.0", "IQM 98.0 [97.0, 99.0]", "n = 3 x 100"], [mark] if mark else [])
    cells = [SheetCell(["113.9 ± 3.1"]), ours][: len(columns)]
    rows = [
        SheetRow(heading, kind="heading"),
        SheetRow(label, cells),
        SheetRow("Average", [SheetCell()] * len(columns), "average"),
    ]
    records = [{"column": column, "mean": 1.5, "marks": mark} for column in columns]
    return Sheet("Table", "task", columns, rows, notes, records)


def test_text_has_columns_under_their_headings_and_footnotes_below():
    lines = sheet_text(sheet(), 100).splitlines()
    (heading,) = (line for line in lines if line.endswith("ours"))
    (scores,) = (line for line in lines if "113.9" in line)
    assert scores.endswith("-99.0 ± 1.0 [a]")
    assert scores.index("113.9 ± 3.1") + len("113.9 ± 3.1") == heading.index("paper") + len("paper")
    assert lines[-2:] == ["[a] on other data", "A note."]
    assert [line.strip() for line in lines if "IQM" in line or "n =" in line] == [
        "IQM 98.0 [97.0, 99.0]",
        "n = 3 x 100",
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_text_that_is_too_wide_continues_below_and_is_never_cut(width):
    columns = [f"method{number}" for number in range(12)]
    row = SheetRow("a task", [SheetCell([f"{number}.5 ± 1.0"]) for number in range(12)])
    text = sheet_text(Sheet("Table", "", columns, [row]), width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    assert all(text.count(f" {number}.5 ± 1.0") == 1 for number in range(12))


def test_a_column_wider_than_the_terminal_is_shown_whole():
    name = "ours: " + "x" * 90
    assert name.removeprefix("ours: ") in sheet_text(sheet(columns=("paper", name)), 80)


def test_markdown_has_one_line_a_row_with_as_many_cells_as_columns():
    lines = sheet_markdown(sheet(label=WICKED, columns=("paper", f"ours: {WICKED}"))).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 5
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {4}
    assert "<b>" not in "\n".join(lines)
    assert "-99.0 ± 1.0<sup>a</sup><br>IQM 98.0" in table[3]
    assert "<sup>a</sup> on other data  " in lines


def test_latex_balances_its_braces_and_has_as_many_cells_as_columns():
    text = sheet_latex(sheet(label=WICKED, columns=("paper", f"ours: {WICKED}"), mark=WICKED, notes=(WICKED,)))
    plain = re.sub(r"\\[{}\\&%$#_]", "", text.replace(r"\\", "\n"))
    assert plain.count("{") == plain.count("}")
    assert plain.count(r"\begin") == plain.count(r"\end") == 3
    body = text.split(r"\toprule")[1].split(r"\bottomrule")[0]
    rows = [line for line in body.splitlines() if line.strip().endswith(r"\\") and "multicolumn" not in line]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {2}
    assert all(name in text for name in (r"\usepackage{booktabs}", r"\midrule", r"\bottomrule", r"\shortstack[r]"))
    assert "$-$99.0 $\\pm$ 1.0" in text
    outside = re.sub(r"\\[&%$#_{}]|\$\\pm\$|\$-\$", "", plain.split(r"\toprule")[1])
    assert not set(outside) & set("%$#_~^±")


def test_csv_has_one_line_a_cell_and_quotes_what_needs_it():
    rows = list(csv.DictReader(io.StringIO(sheet_csv(sheet(columns=("paper", 'ours, "mine"'))))))
    assert [row["column"] for row in rows] == ["paper", 'ours, "mine"']
    assert float(rows[0]["mean"]) == 1.5


def test_names_with_markup_are_shown_as_they_are():
    assert "[bold]x[/bold]" in sheet_text(sheet(label="[bold]x[/bold]"), 100)


def test_a_sheet_without_marks_has_no_footnotes():
    assert "[a]" not in sheet_text(sheet(mark=None), 100)
