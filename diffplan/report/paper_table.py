"""The tables of the paper as published, with columns of our own beside them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import yaml
from pydantic import BaseModel, BeforeValidator

from diffplan.report.pooled_scores import PooledScores, repetition_notes
from diffplan.report.score_marks import score_marks
from diffplan.report.sheet import MISSING, Sheet, SheetCell, SheetRow

TABLES = (1, 2, 3)
_PUBLISHED = Path(__file__).with_name("paper_tables.yaml")
# A mean and its standard error; the yaml has a plain number where the paper prints no error.
_Score = Annotated[tuple[float, float | None], BeforeValidator(lambda s: s if isinstance(s, list) else (s, None))]
_STATISTICS = ("mean", "stderr", "mean_low", "mean_high", "iqm", "iqm_low", "iqm_high", "num_seeds", "num_episodes")


class PaperRow(BaseModel):
    """A row of a published table; ``task`` is None if diffplan does not have the task."""

    label: str
    task: str | None
    protocol: str
    scores: dict[str, _Score]


class PaperSection(BaseModel):
    """Rows with a common heading and an average, which ``average`` names."""

    name: str | None
    average: str
    rows: list[PaperRow]


class PaperTable(BaseModel):
    """A table of the paper.

    Attributes:
        number: Its number in the paper.
        title: What it shows.
        source: Where the numbers were read.
        methods: Published columns.
        num_episodes: The paper's number of episodes of every cell.
        sections: The rows.
    """

    number: int
    title: str
    source: str
    methods: list[str]
    num_episodes: int
    sections: list[PaperSection]

    @classmethod
    def read(cls, number: int) -> "PaperTable":
        """Reads one table of ``paper_tables.yaml``."""
        return cls(number=number, **yaml.safe_load(_PUBLISHED.read_text(encoding="utf-8"))[number])

    @property
    def rows(self) -> list[PaperRow]:
        """The rows of all sections."""
        return [row for section in self.sections for row in section.rows]

    def with_results(self, table: pd.DataFrame) -> pd.DataFrame:
        """Returns the rows of an ``episode_table`` whose task and protocol are part of this table."""
        places = {(row.task, row.protocol) for row in self.rows}
        return table.loc[[place in places for place in zip(table["task"], table["protocol"], strict=True)]]


@dataclass(frozen=True)
class TableOptions:
    """How a table is made.

    Attributes:
        metric: ``score``, or ``latched``: every step after first reaching the goal counts.
        allow: What averaged results may differ in, see ``check_comparable``.
        num_seeds: Number of training seeds of a complete cell.
        defaults: Returns the default settings of a task, which are the paper's.
    """

    metric: Literal["score", "latched"]
    allow: Collection[str]
    num_seeds: int
    defaults: Callable[[str], Mapping[str, Any]]


@dataclass(frozen=True)
class _Cell:
    lines: Sequence[str] = (MISSING,)
    marks: Sequence[str] = ()
    statistics: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "missing"
    sources: Sequence[str] = ()


def result_table(paper: PaperTable, table: pd.DataFrame, options: TableOptions) -> Sheet:
    """Puts results beside the published numbers, one column for each name and ablation.

    Args:
        paper: The published table.
        table: Results of any tasks, see ``episode_table``.
        options: How the table is made.

    Raises:
        ResultError: Results of one cell cannot be compared.
    """
    groups = dict(list(paper.with_results(table).groupby(["task", "protocol", "name", "ablation"], sort=False)))
    columns = sorted({key[2:] for key in groups}, key=lambda c: (c[0] != "diffuser", c[0], c[1] != "default", c[1]))
    keys = [(row.task, row.protocol, *column) for row in paper.rows for column in columns]
    pools = {key: PooledScores.of(groups[key], options.metric, options.allow) for key in keys if key in groups}
    ours = {key: _our_cell(pool, key[0], paper, options) for key, pool in pools.items()}
    headings = [
        f"ours: {name}" if ablation == "default" else f"ours: {name} ({ablation})" for name, ablation in columns
    ]
    rows, records = [], []
    for section in paper.sections:
        rows += [SheetRow(section.name, kind="heading")] if section.name else []
        grid = []
        for row in section.rows:
            cells = [_published_cell(row.scores.get(method)) for method in paper.methods]
            cells += [ours.get((row.task, row.protocol, *column), _Cell()) for column in columns]
            place = {"table": paper.number, "row": row.label, "task": row.task or "", "protocol": row.protocol}
            records += [place | _record(*pair) for pair in zip([*paper.methods, *headings], cells, strict=True)]
            grid.append(cells if columns else [*cells, _Cell()])
            rows.append(SheetRow(row.label, [SheetCell(cell.lines, cell.marks) for cell in grid[-1]]))
        rows.append(SheetRow(section.average, [_average(column) for column in zip(*grid, strict=True)], "average"))
    return Sheet(
        title=paper.title,
        corner="",
        columns=[*paper.methods, *(headings or ["ours"])],
        rows=rows,
        notes=[
            *_notes(paper, bool(pools)),
            *repetition_notes([text for pool in pools.values() for text in pool.dropped]),
        ],
        records=records,
    )


def _published_cell(score: tuple[float, float | None] | None) -> _Cell:
    if score is None:
        return _Cell(kind="published")
    mean, error = score
    text = f"{mean:.1f}" if error is None else f"{mean:.1f} ± {error:g}"
    return _Cell([text], statistics={"mean": mean, "stderr": error}, kind="published")


def _our_cell(pool: PooledScores, task: str, paper: PaperTable, options: TableOptions) -> _Cell:
    found = pool.statistics
    low, high = found.iqm_interval
    lines = [f"{found.mean:.1f} ± {found.stderr:.1f}", f"IQM {found.iqm:.1f} [{low:.1f}, {high:.1f}]"]
    marks = score_marks(pool, options.metric, paper.num_episodes, options.num_seeds, options.defaults(task))
    sources = [stored.source for stored in pool.results]
    return _Cell([*lines, f"n = {found.count_text}"], marks, found.record(), "ours", sources)


def _record(column: str, cell: _Cell) -> dict[str, Any]:
    statistics = {name: cell.statistics.get(name) for name in _STATISTICS}
    texts = {"marks": "; ".join(cell.marks), "results": "; ".join(cell.sources)}
    return {"column": column, "kind": cell.kind, **statistics, **texts}


def _average(cells: Sequence[_Cell]) -> SheetCell:
    """Averages a column of a section that has a number in every row. The average carries the marks of its cells."""
    if not all(cell.statistics for cell in cells):
        return SheetCell()
    marks = dict.fromkeys(mark for cell in cells for mark in cell.marks)
    return SheetCell([f"{np.mean([cell.statistics['mean'] for cell in cells]):.1f}"], list(marks))


def _notes(paper: PaperTable, has_ours: bool) -> list[str]:
    notes = [f"Published numbers: {paper.source}; ± one standard error."]
    if has_ours:
        notes.append(
            "Ours: mean ± one standard error over all episodes; IQM: interquartile mean with the 95 % interval of a "
            "bootstrap over training seeds and their episodes (of one seed: over its episodes); "
            "n = training seeds x episodes."
        )
    return [*notes, f"{MISSING}: no number; averages are over whole sections."]
