from diffplan.report.table.sheet import Sheet, SheetCell, SheetRow


def sheet_with(*marks_of_cells):
    rows = [SheetRow("row", [SheetCell(["1"], marks)]) for marks in marks_of_cells]
    return Sheet("title", "", ["column"], rows)


def test_marks_have_letters_in_the_order_of_reading_and_each_one_only():
    sheet = sheet_with(["second hand", "partial"], [], ["partial", "old"])
    assert sheet.letters == {"second hand": "a", "partial": "b", "old": "c"}
    assert sheet.letters_of(SheetCell(["1"], ["old", "second hand"])) == ["a", "c"]


def test_letters_go_on_after_z():
    sheet = sheet_with([f"mark {number}" for number in range(54)])
    assert [sheet.letters[f"mark {number}"] for number in (25, 26, 51, 52)] == ["z", "aa", "az", "ba"]
    assert sheet.letters_of(SheetCell(["1"], ["mark 26", "mark 25"])) == ["z", "aa"]
