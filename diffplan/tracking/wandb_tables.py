"""Tables and results in W&B."""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import requests
import wandb

from diffplan.errors import ResultError
from diffplan.report.result_folder import ResultFolder
from diffplan.report.stored_result import StoredResult
from diffplan.report.table.sheet import Sheet
from diffplan.run.result import Result
from diffplan.tracking.wandb_logger import RESULT_KEY, WandbLogger


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


_RUNS_PER_PAGE = 100


def read_wandb_results(
    project: str, filters: Mapping[str, Any] | None = None, timeout_seconds: int = 30
) -> ResultFolder:
    """Reads the final result of every run of a project.

    Runs without a result, or with one that cannot be read, are named and left out.

    Args:
        project: ``entity/project``; a project alone is the account's own.
        filters: Of runs, in W&B's query language; all runs if None.
        timeout_seconds: Longest wait for one page of runs.

    Raises:
        ResultError: there is no account, no such project, or W&B does not answer.
    """
    results, skipped = [], []
    try:
        for run in _runs(project, filters, timeout_seconds):
            place = f"W&B run {'/'.join(run.path)} ({run.name})"
            text = run.summary.get(RESULT_KEY)
            if not isinstance(text, str):
                skipped.append((place, f"no result: state {run.state}"))
                continue
            try:
                results.append(StoredResult(Result.parse(text), run.url))
            except ResultError as error:
                skipped.append((place, str(error)))
    except (wandb.Error, requests.RequestException, ValueError, OSError, TimeoutError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise ResultError(f"results cannot be read from W&B's project {project}: {reason}.") from None
    return ResultFolder(sorted(results, key=lambda stored: stored.source), skipped)


def _runs(project: str, filters: Mapping[str, Any] | None, timeout_seconds: int) -> Any:
    if project.count("/") > 1 or not all(project.split("/")):
        raise ResultError(f"wandb must be entity/project, got {project!r}.")
    if not wandb.login(prompt=False, verify=False):
        raise ResultError(
            f"results of W&B's project {project} need an account, and this machine has none: run `wandb login` or set "
            "WANDB_API_KEY."
        )
    # Its own words on failed connections would come before the one sentence.
    logging.getLogger("wandb").setLevel(logging.CRITICAL)
    api = wandb.Api(timeout=timeout_seconds)
    return api.runs(project, filters=dict(filters or {}), per_page=_RUNS_PER_PAGE, lazy=False)
