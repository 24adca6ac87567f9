"""Tables of results as W&B tables."""

import re
from collections.abc import Sequence
from pathlib import Path

from diffplan.logger.wandb_logger import WandbLogger
from diffplan.report.table.sheet import Sheet


def log_sheets(sheets: Sequence[Sheet], project: str, folder: Path) -> str:
    """Logs each table twice to one run: as it is printed, with its footnotes, and one line a cell with all statistics.

    Args:
        sheets: Tables.
        project: ``entity/project``, or the project alone.
        folder: Where W&B keeps its files; the same folder is the same run, which gets the tables anew.

    Returns:
        Where to look.
    """
    entity, _, name = project.rpartition("/")
    logger = WandbLogger(project=name, entity=entity or None, save_dir=folder, name="tables", job_type="table")
    for sheet in sheets:
        key = "table/" + re.sub(r"\W+", "_", sheet.title).strip("_").lower()
        columns, rows = _as_printed(sheet)
        logger.log_table(key, columns, rows, step=0)
        records = [list(record.values()) for record in sheet.records]
        logger.log_table(f"{key}_statistics", list(sheet.records[0]), records, step=0)
    place = logger.where_to_look()
    logger.finalize("success")
    return place


def _as_printed(sheet: Sheet) -> tuple[list[str], list[list[str]]]:
    rows = []
    for row in sheet.rows:
        texts = [" ".join([*cell.lines, *(f"[{letter}]" for letter in sheet.letters_of(cell))]) for cell in row.cells]
        rows.append([row.label, *(texts or [""] * len(sheet.columns))])
    blank = [""] * len(sheet.columns)
    notes = [f"[{letter}] {mark}" for mark, letter in sheet.letters.items()]
    rows += [[note, *blank] for note in (*notes, *sheet.notes)]
    return [sheet.corner or "row", *sheet.columns], rows
