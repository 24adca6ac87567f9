"""The command ``diffplan table``: rebuilds the paper's tables and ablations from results."""

import fnmatch
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import get_terminal_size
from typing import Annotated, Literal

import pandas as pd
from cyclopts import Parameter, validators

from diffplan.config.default_settings import default_settings
from diffplan.errors import ConfigError, ResultError
from diffplan.files import write_atomically
from diffplan.report.ablation import Ablation
from diffplan.report.ablation_sheet import ablation_sheet
from diffplan.report.paper_table import TABLES, PaperTable, TableOptions, result_table
from diffplan.report.results import DEFAULT_FOLDER, RunSelection, search, stored_results
from diffplan.report.sheet import Sheet, sheet_csv, sheet_latex, sheet_markdown, sheet_text
from diffplan.terminal import printable_lines, say

_LEAST_WIDTH, _FILE_WIDTH = 80, 160
_MOST_SKIPPED = 5
_DEFAULT_PROJECT = "diffplan"
_ENDINGS = {".txt": "text", ".md": "markdown", ".tex": "latex", ".csv": "csv"}
# As in diffplan.report.comparability.ASPECTS.
Aspect = Literal["data", "environment", "versions", "settings", "episodes"]


@dataclass(frozen=True, kw_only=True)
class ShownRuns:
    """Which results a table or a dashboard shows.

    Attributes:
        results: Folder that is searched for results; may be given several times. The default is outputs.
        name: Only runs of this name. As in all patterns below, * stands for any text.
        sweep: Only runs of this sweep.
        task: Only runs of this task.
        group: Only runs of this W&B group, written task/name/ablation or the beginning of it.
        allow: What averaged results may differ in; may be given several times.
        baseline: Value that an ablation compares with; by default the one of the run without changes.
    """

    results: list[str] | None = None
    name: str | None = None
    sweep: str | None = None
    task: str | None = None
    group: str | None = None
    allow: Annotated[tuple[Aspect, ...], Parameter(show_default=False)] = ()
    baseline: str | None = None

    @property
    def selection(self) -> RunSelection:
        """The patterns of sweep, group, name and task."""
        return RunSelection(self.sweep, self.group, self.name, self.task)

    def folders(self) -> list[Path]:
        """Returns the folders that are searched."""
        return [Path(name).expanduser() for name in self.results or [DEFAULT_FOLDER]]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TableSettings(ShownRuns):
    """Which results are shown, and how.

    Attributes:
        wandb: W&B project, written entity/project, that is searched for results. Without --results, only W&B is read.
        protocol: Only episodes of this protocol. Ablations show both by default.
        ablation: Changes to the defaults that get a column: default, all, or a pattern. Ablations show all by default.
        metric: The score, or the latched score, for which every step after first reaching the goal counts.
        seeds: Number of training seeds that a complete cell has. Cells with fewer seeds are marked.
        picture: File that an ablation is drawn to: .png, .svg or .pdf.
        format: Output format. By default the ending of --to decides, and text is printed without --to.
        to: File that is written: .txt, .md, .tex or .csv. For the format wandb: entity/project.
    """

    wandb: str | None = None
    protocol: Literal["single_task", "multi2d"] | None = None
    ablation: str | None = None
    metric: Literal["score", "latched"] = "score"
    seeds: Annotated[int, Parameter(validator=validators.Number(gte=1))] = 3
    picture: str | None = None
    format: Literal["text", "markdown", "latex", "csv", "wandb"] | None = None
    to: str | None = None

    @property
    def output_format(self) -> str:
        """The format that is asked for, or the one of the file's ending."""
        return self.format or ("text" if self.to is None else _ENDINGS.get(Path(self.to).suffix, "text"))


def table(
    kind: Literal["1", "2", "3", "ablation"] | None = None,
    /,
    *,
    settings: TableSettings = TableSettings(),
) -> None:
    """Rebuild the paper's tables from results, or compare runs that differ in one or two settings.

    Args:
        kind: Table of the paper, or an ablation. By default every table of the paper that has a result.
        settings: Which results are shown, and how.
    """
    _put(_sheets(kind, settings), settings)


def _sheets(kind: str | None, settings: TableSettings) -> list[Sheet]:
    found = search(settings.results or (), settings.wandb)
    for source, reason in found.skipped[:_MOST_SKIPPED]:
        say(f"skipped {source}: {reason}", file=sys.stderr)
    if len(found.skipped) > _MOST_SKIPPED:
        say(f"skipped {len(found.skipped) - _MOST_SKIPPED} more that are no results.", file=sys.stderr)
    table = found.table(settings.selection)
    if kind == "ablation":
        return _ablations(_with_ablation(table, settings.ablation or "all"), settings, len(found.results))
    pattern = settings.ablation or "default"
    shown = _with_ablation(table, pattern)
    total, left_out = (len(stored_results(rows)) for rows in (table, table.drop(shown.index)))
    if left_out:
        say(f"{left_out} of {total} results have another ablation than {pattern}; add --ablation all to see them.",
              file=sys.stderr)  # fmt: skip
    options = TableOptions(settings.metric, settings.allow, settings.seeds, default_settings)
    papers = [PaperTable.read(number) for number in ([int(kind)] if kind else TABLES)]
    papers = [paper for paper in papers if kind or len(paper.with_results(shown))]
    if not papers:
        where = settings.wandb or ", ".join(settings.results or [DEFAULT_FOLDER])
        raise ResultError(
            f"none of the {len(found.results)} results in {where} belongs to a table of the paper; say 1, 2 or 3 "
            "to see one without ours."
        )
    return [result_table(paper, shown, options) for paper in papers]


def _with_ablation(table: pd.DataFrame, pattern: str) -> pd.DataFrame:
    meant = [name for name in table["ablation"].unique() if pattern == "all" or fnmatch.fnmatchcase(name, pattern)]
    return table[table["ablation"].isin(meant)]


def _ablations(table: pd.DataFrame, settings: TableSettings, num_read: int) -> list[Sheet]:
    if settings.protocol is not None:
        table = table[table["protocol"] == settings.protocol]
    if table.empty:
        raise ResultError(f"none of the {num_read} results is meant by these settings; see diffplan table --help.")
    ablations = [
        Ablation.of(rows, settings.metric, settings.allow, settings.baseline, default_settings(str(task)))
        for (task, _), rows in table.groupby(["task", "protocol"], sort=False)
    ]
    if settings.picture is not None:
        _draw(ablations, Path(settings.picture))
    return [ablation_sheet(ablation) for ablation in ablations]


def _draw(ablations: Sequence[Ablation], path: Path) -> None:
    """Draws one picture an ablation; if there are several, their names hold task and protocol."""
    # Imported here, because the chart library takes longer to load than most tables take to make.
    from diffplan.report.score_charts import draw_ablation

    for ablation in ablations:
        one = len(ablations) == 1
        place = path if one else path.with_stem(f"{path.stem}-{ablation.task}-{ablation.protocol}")
        draw_ablation(ablation, place)
        say(f"drawn: {place}", file=sys.stderr)


def _put(sheets: Sequence[Sheet], settings: TableSettings) -> None:
    if settings.output_format == "wandb":
        _log(sheets, settings)
        return
    text = "\n".join(_written(sheet, settings) for sheet in sheets)
    if settings.to is None:
        print(printable_lines(text), end="")
        return
    path = Path(settings.to).expanduser()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, printable_lines(text).encode())
    except OSError as error:
        raise ConfigError(f"the table cannot be written to {path}: {error.strerror}.") from None
    say(f"written: {path}", file=sys.stderr)


def _written(sheet: Sheet, settings: TableSettings) -> str:
    if settings.output_format == "text":
        width = max(get_terminal_size().columns, _LEAST_WIDTH) if settings.to is None else _FILE_WIDTH
        return sheet_text(sheet, width)
    return {"markdown": sheet_markdown, "latex": sheet_latex, "csv": sheet_csv}[settings.output_format](sheet)


def _log(sheets: Sequence[Sheet], settings: TableSettings) -> None:
    # Imported here, because it takes longer to load than the table takes to make.
    from diffplan.tracking.wandb_logger import log_sheets

    folder = settings.folders()[0] / "tables"
    say(log_sheets(sheets, settings.to or settings.wandb or _DEFAULT_PROJECT, folder), file=sys.stderr)
