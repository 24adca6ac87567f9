"""A table of the paper with columns of our own beside the published ones."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from diffplan.report.statistics.pooled_scores import PooledScores
from diffplan.report.statistics.score_statistics import ScoreStatistics
from diffplan.report.stored_result import StoredResult
from diffplan.report.table.paper_table import PaperRow, PaperSection, PaperTable
from diffplan.report.table.repetition_notes import repetition_notes
from diffplan.report.table.score_marks import score_marks
from diffplan.report.table.sheet import MISSING, Sheet, SheetCell, SheetRow

DefaultSettings = Callable[[str], Mapping[str, Any]]
_Column = tuple[str, str]


@dataclass(frozen=True)
class TableOptions:
    """How a table is made.

    Attributes:
        metric: ``score``, or ``latched``: every step after first reaching the goal counts.
        allow: What averaged results may differ in, see ``check_comparable``.
        num_seeds: Training seeds that a whole cell has.
        defaults: Settings that a task has by default, which are the paper's.
    """

    metric: Literal["score", "latched"]
    allow: Collection[str]
    num_seeds: int
    defaults: DefaultSettings


@dataclass(frozen=True)
class _Cell:
    statistics: ScoreStatistics
    marks: Sequence[str]
    pool: PooledScores


def result_table(paper: PaperTable, results: Sequence[StoredResult], options: TableOptions) -> Sheet:
    """Puts results beside the published numbers, one column for each name and ablation.

    Args:
        paper: The published table.
        results: Those to show, of any task.
        options: How.

    Raises:
        ResultError: results of one cell cannot be compared.
    """
    columns = _columns(paper, results)
    cells = {
        (row_key, column): _cell(row, chosen, paper, options)
        for row_key, row in _rows(paper).items()
        for column in columns
        if (chosen := _chosen(results, row, column))
    }
    rows = [row for section in paper.sections for row in _section_rows(paper, section, columns, cells)]
    dropped = [text for cell in cells.values() for text in cell.pool.dropped]
    headings = [_heading(column) for column in columns] or ["ours"]
    return Sheet(
        title=paper.title,
        corner="",
        columns=[*paper.methods, *headings],
        rows=rows,
        notes=[*_notes(paper, bool(cells)), *repetition_notes(dropped)],
        records=_records(paper, columns, cells),
    )


def _rows(paper: PaperTable) -> dict[tuple[str | None, str, str], PaperRow]:
    return {(row.task, row.protocol, row.label): row for row in paper.rows}


def _columns(paper: PaperTable, results: Sequence[StoredResult]) -> list[_Column]:
    places = {(row.task, row.protocol) for row in paper.rows}
    found = {
        (stored.result.name, stored.ablation)
        for stored in results
        if any((stored.result.task, protocol) in places for protocol in stored.result.protocols)
    }
    return sorted(found, key=lambda column: (column[0] != "diffuser", column[0], column[1] != "default", column[1]))


def _heading(column: _Column) -> str:
    name, ablation = column
    return f"ours: {name}" if ablation == "default" else f"ours: {name} ({ablation})"


def _chosen(results: Sequence[StoredResult], row: PaperRow, column: _Column) -> list[StoredResult]:
    return [
        stored
        for stored in results
        if (stored.result.task, stored.result.name, stored.ablation) == (row.task, *column)
        and row.protocol in stored.result.protocols
    ]


def _cell(row: PaperRow, results: Sequence[StoredResult], paper: PaperTable, options: TableOptions) -> _Cell:
    pool = PooledScores.of(results, row.protocol, options.metric, options.allow)
    defaults = options.defaults(str(row.task))
    marks = score_marks(pool, options.metric, paper.num_episodes, options.num_seeds, defaults)
    return _Cell(pool.statistics, marks, pool)


def _section_rows(
    paper: PaperTable, section: PaperSection, columns: Sequence[_Column], cells: Mapping[Any, _Cell]
) -> list[SheetRow]:
    rows = [SheetRow(section.name, kind="heading")] if section.name else []
    keys = [(row.task, row.protocol, row.label) for row in section.rows]
    for key, row in zip(keys, section.rows, strict=True):
        published = [_published(row.scores.get(method)) for method in paper.methods]
        ours = [_shown(cells.get((key, column))) for column in columns] or [SheetCell()]
        rows.append(SheetRow(row.label, [*published, *ours]))
    averages = [_average([row.scores.get(method, (None, None))[0] for row in section.rows]) for method in paper.methods]
    of_ours = [_our_average([cells.get((key, column)) for key in keys]) for column in columns] or [SheetCell()]
    rows.append(SheetRow(section.average, [*averages, *of_ours], kind="average"))
    return rows


def _published(score: tuple[float, float | None] | None) -> SheetCell:
    if score is None:
        return SheetCell()
    mean, error = score
    return SheetCell([f"{mean:.1f}" if error is None else f"{mean:.1f} ± {error:g}"])


def _shown(cell: _Cell | None) -> SheetCell:
    if cell is None:
        return SheetCell()
    found = cell.statistics
    low, high = found.iqm_interval
    lines = [f"{found.mean:.1f} ± {found.stderr:.1f}", f"IQM {found.iqm:.1f} [{low:.1f}, {high:.1f}]"]
    return SheetCell([*lines, f"n = {found.count_text}"], cell.marks)


def _average(means: Sequence[float | None]) -> SheetCell:
    values = [mean for mean in means if mean is not None]
    return SheetCell([f"{np.mean(values):.1f}"]) if len(values) == len(means) else SheetCell()


def _our_average(cells: Sequence[_Cell | None]) -> SheetCell:
    """Over whole sections alone; it carries the marks of what it averages."""
    there = [cell for cell in cells if cell is not None]
    if len(there) < len(cells):
        return SheetCell()
    marks = dict.fromkeys(mark for cell in there for mark in cell.marks)
    return SheetCell([f"{np.mean([cell.statistics.mean for cell in there]):.1f}"], list(marks))


def _notes(paper: PaperTable, has_ours: bool) -> list[str]:
    notes = [f"Published numbers: {paper.source}; ± one standard error."]
    if has_ours:
        notes.append(
            "Ours: mean ± one standard error over all episodes; IQM: interquartile mean with the 95 % interval of a "
            "bootstrap over training seeds and their episodes (of one seed: over its episodes); "
            "n = training seeds x episodes."
        )
    return [*notes, f"{MISSING}: no number; averages are over whole sections."]


def _records(paper: PaperTable, columns: Sequence[_Column], cells: Mapping[Any, _Cell]) -> list[dict[str, Any]]:
    records = []
    for key, row in _rows(paper).items():
        place = {"table": paper.number, "row": row.label, "task": row.task or "", "protocol": row.protocol}
        for method in paper.methods:
            mean, error = row.scores.get(method, (None, None))
            records.append({**place, "column": method, "kind": "published", **_numbers(None, mean, error)})
        for column in columns:
            cell = cells.get((key, column))
            kind = "missing" if cell is None else "ours"
            records.append({**place, "column": _heading(column), "kind": kind, **_numbers(cell)})
    return records


def _numbers(cell: _Cell | None, mean: float | None = None, error: float | None = None) -> dict[str, Any]:
    found = None if cell is None else cell.statistics
    return {
        "mean": mean if found is None else found.mean,
        "stderr": error if found is None else found.stderr,
        "mean_low": None if found is None else found.mean_interval[0],
        "mean_high": None if found is None else found.mean_interval[1],
        "iqm": None if found is None else found.iqm,
        "iqm_low": None if found is None else found.iqm_interval[0],
        "iqm_high": None if found is None else found.iqm_interval[1],
        "num_seeds": None if found is None else found.num_seeds,
        "num_episodes": None if found is None else found.num_episodes,
        "marks": "" if cell is None else "; ".join(cell.marks),
        "results": "" if cell is None else "; ".join(stored.source for stored in cell.pool.results),
    }
