"""The tables of the paper as published, with columns of our own beside them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import yaml

from diffplan.report.pooled_scores import PooledScores, repetition_notes
from diffplan.report.score_marks import score_marks
from diffplan.report.sheet import MISSING, Sheet, SheetCell, SheetRow

TABLES = (1, 2, 3)
DefaultSettings = Callable[[str], Mapping[str, Any]]
_PUBLISHED = Path(__file__).with_name("paper_tables.yaml")
_Column = tuple[str, str]


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
        num_episodes: The paper's number of episodes of every cell.
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
        """Reads one table of ``paper_tables.yaml``."""
        content = yaml.safe_load(_PUBLISHED.read_text(encoding="utf-8"))[number]
        sections = [
            PaperSection(section["name"], section["average"], [_row(row) for row in section["rows"]])
            for section in content.pop("sections")
        ]
        return cls(number=number, sections=sections, **content)

    @property
    def rows(self) -> list[PaperRow]:
        """The rows of all sections."""
        return [row for section in self.sections for row in section.rows]

    @property
    def places(self) -> set[tuple[str | None, str]]:
        """Task and protocol of every row."""
        return {(row.task, row.protocol) for row in self.rows}


@dataclass(frozen=True)
class TableOptions:
    """How a table is made.

    Attributes:
        metric: ``score``, or ``latched``: every step after first reaching the goal counts.
        allow: What averaged results may differ in, see ``check_comparable``.
        num_seeds: Training seeds that a whole cell has.
        defaults: Returns the settings that a task has by default, which are the paper's.
    """

    metric: Literal["score", "latched"]
    allow: Collection[str]
    num_seeds: int
    defaults: DefaultSettings


@dataclass(frozen=True)
class _Cell:
    pool: PooledScores
    marks: Sequence[str]


def has_results(number: int, table: pd.DataFrame) -> bool:
    """Tells whether a result belongs to a table of the paper."""
    return not PaperTable.read(number).places.isdisjoint(zip(table["task"], table["protocol"], strict=True))


def result_table(paper: PaperTable, table: pd.DataFrame, options: TableOptions) -> Sheet:
    """Puts results beside the published numbers, one column for each name and ablation.

    Args:
        paper: The published table.
        table: Results of any tasks, see ``episode_table``.
        options: How the table is made.

    Raises:
        ResultError: Results of one cell cannot be compared.
    """
    groups = {key: rows for key, rows in table.groupby(["task", "protocol", "name", "ablation"], sort=False)
              if key[:2] in paper.places}  # fmt: skip
    columns = sorted({key[2:] for key in groups}, key=lambda c: (c[0] != "diffuser", c[0], c[1] != "default", c[1]))
    keys = [(row.task, row.protocol, *column) for row in paper.rows for column in columns]
    cells = {key: _cell(groups[key], key[0], paper, options) for key in keys if key in groups}
    rows = [row for section in paper.sections for row in _section_rows(paper, section, columns, cells)]
    dropped = [text for cell in cells.values() for text in cell.pool.dropped]
    return Sheet(
        title=paper.title,
        corner="",
        columns=[*paper.methods, *([_heading(column) for column in columns] or ["ours"])],
        rows=rows,
        notes=[*_notes(paper, bool(cells)), *repetition_notes(dropped)],
        records=_records(paper, columns, cells),
    )


def _row(content: dict[str, Any]) -> PaperRow:
    scores = {method: _score(score) for method, score in content.pop("scores").items()}
    return PaperRow(scores=scores, **content)


def _score(score: float | list[float]) -> tuple[float, float | None]:
    return (float(score[0]), float(score[1])) if isinstance(score, list) else (float(score), None)


def _heading(column: _Column) -> str:
    name, ablation = column
    return f"ours: {name}" if ablation == "default" else f"ours: {name} ({ablation})"


def _cell(rows: pd.DataFrame, task: str, paper: PaperTable, options: TableOptions) -> _Cell:
    pool = PooledScores.of(rows, options.metric, options.allow)
    defaults = options.defaults(task)
    return _Cell(pool, score_marks(pool, options.metric, paper.num_episodes, options.num_seeds, defaults))


def _section_rows(
    paper: PaperTable, section: PaperSection, columns: Sequence[_Column], cells: Mapping[Any, _Cell]
) -> list[SheetRow]:
    rows = [SheetRow(section.name, kind="heading")] if section.name else []
    ours = {column: [cells.get((row.task, row.protocol, *column)) for row in section.rows] for column in columns}
    for number, row in enumerate(section.rows):
        published = [_published(row.scores.get(method)) for method in paper.methods]
        shown = [_shown(of_column[number]) for of_column in ours.values()] or [SheetCell()]
        rows.append(SheetRow(row.label, [*published, *shown]))
    averages = [_average([row.scores.get(method, (None, None))[0] for row in section.rows]) for method in paper.methods]
    of_ours = [_our_average(of_column) for of_column in ours.values()] or [SheetCell()]
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
    found = cell.pool.statistics
    low, high = found.iqm_interval
    lines = [f"{found.mean:.1f} ± {found.stderr:.1f}", f"IQM {found.iqm:.1f} [{low:.1f}, {high:.1f}]"]
    return SheetCell([*lines, f"n = {found.count_text}"], cell.marks)


def _average(means: Sequence[float | None]) -> SheetCell:
    values = [mean for mean in means if mean is not None]
    return SheetCell([f"{np.mean(values):.1f}"]) if len(values) == len(means) else SheetCell()


def _our_average(cells: Sequence[_Cell | None]) -> SheetCell:
    """Averages whole sections only; the average carries the marks of its cells."""
    there = [cell for cell in cells if cell is not None]
    if len(there) < len(cells):
        return SheetCell()
    marks = dict.fromkeys(mark for cell in there for mark in cell.marks)
    return SheetCell([f"{np.mean([cell.pool.statistics.mean for cell in there]):.1f}"], list(marks))


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
    for row in paper.rows:
        place = {"table": paper.number, "row": row.label, "task": row.task or "", "protocol": row.protocol}
        for method in paper.methods:
            mean, error = row.scores.get(method, (None, None))
            records.append({**place, "column": method, "kind": "published", **_numbers(None, mean, error)})
        for column in columns:
            cell = cells.get((row.task, row.protocol, *column))
            kind = "missing" if cell is None else "ours"
            records.append({**place, "column": _heading(column), "kind": kind, **_numbers(cell)})
    return records


def _numbers(cell: _Cell | None, mean: float | None = None, error: float | None = None) -> dict[str, Any]:
    found = None if cell is None else cell.pool.statistics
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
