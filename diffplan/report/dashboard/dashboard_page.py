"""One self-contained HTML page about a sweep, a group or a project."""

import base64
import hashlib
import os
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from diffplan.files import write_atomically
from diffplan.report.dashboard.dashboard_board import DashboardBoard, DashboardCell
from diffplan.report.dashboard.dashboard_charts import cost_figure, learning_figures, score_figure
from diffplan.report.dashboard.dashboard_content import DashboardContent
from diffplan.report.dashboard.dashboard_media import MediaBudget, protocol_media
from diffplan.report.dashboard.dashboard_rows import board_rows, run_rows
from diffplan.report.run_record import RunRecord
from diffplan.report.stored_result import StoredResult

_TEMPLATES = Path(__file__).parents[1] / "template"
_PAGE = "index.html"


def write_dashboard_page(content: DashboardContent, page: Path, command: str, max_bytes: int) -> int:
    """Writes the page; nothing is fetched from anywhere, and everything that comes from runs is shown as text.

    Args:
        content: What to show.
        page: The file.
        command: How to make the page again.
        max_bytes: Most that pictures and videos may take; what does not fit is named and linked.

    Returns:
        Size of the page in bytes.

    Raises:
        OSError: the file cannot be written.
    """
    records = {stored.source: RunRecord.read(Path(stored.source).parent) for stored in content.results}
    budget = MediaBudget(max_bytes)
    boards = [_board(board, records, budget, page) for board in content.boards]
    facts = {
        "title": content.selection.text,
        "tasks": list(dict.fromkeys(board.task for board in content.boards)),
        "num_runs": len(content.results),
        "unfinished": [(run.label, run.state, str(run.run_dir)) for run in content.unfinished],
        "skipped": content.skipped,
        "problems": [(board.title, *problem) for board in content.boards for problem in board.problems],
        "data": content.data_texts,
        "is_d4rl": content.is_d4rl,
        "differences": content.differences,
        "versions": content.versions,
        "commands": content.commands(),
        "command": command,
        "boards": boards,
        "runs": run_rows(content, lambda source: _link(source, page)),
    }
    # The size is on the page, so it is rendered twice; the second time can differ from the first by a few letters only.
    size = len(_render(facts | {"size": ""}).encode())
    text = _render(facts | {"size": f"{size / 2**20:.1f} MiB"})
    write_atomically(page, text.encode())
    return len(text.encode())


def _render(content: dict[str, Any]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["breakable"] = _breakable
    names = ("run_page.css", "dashboard.css", "run_page.js")
    shared, own, script = ((_TEMPLATES / name).read_text(encoding="utf-8") for name in names)
    # The policy lets exactly this script run, so that not even a mistake in escaping could start another.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = environment.get_template("dashboard.html.j2")
    return template.render(content, style=Markup(shared + own), script=Markup(script), script_hash=f"sha256-{digest}")


def _breakable(name: str) -> Markup:
    """A dotted key that a narrow column may break after its dots and underscores."""
    return Markup(str(escape(name)).replace("_", "_<wbr>").replace(".", ".<wbr>"))


def _board(board: DashboardBoard, records: dict[str, RunRecord], budget: MediaBudget, page: Path) -> dict[str, Any]:
    runs = {cell.number: [records[stored.source] for stored in cell.found.pool.results] for cell in board.cells}
    score, cost = (score_figure(board), cost_figure(board)) if board.cells else (None, None)
    figures = [figure for figure in (score, cost) if figure is not None]
    for key in ("score", "loss") if board.cells else ():
        figures += learning_figures(board, runs, key)
    return {
        "title": board.title,
        "protocol": board.protocol,
        "names": list(board.settings),
        "rows": board_rows(board),
        "also": [pair for pair in zip(board.settings, board.also, strict=True) if pair[1]],
        "not_compared": board.not_compared,
        "figures": [figure for figure in figures if figure.svg],
        "absent": [f"{figure.title}: {figure.note}" for figure in figures if not figure.svg],
        "media": _media(board, records, budget, page),
        "dropped": [text for cell in board.cells for text in cell.found.pool.dropped],
        "allowed": sorted({aspect for cell in board.cells for aspect in cell.found.pool.allowed}),
    }


def _media(
    board: DashboardBoard, records: dict[str, RunRecord], budget: MediaBudget, page: Path
) -> list[dict[str, Any]]:
    """For each kind and label a row of cells side by side, from the training seed that most cells have."""
    shown = [(cell, _shown_run(cell, board.cells)) for cell in board.cells]
    seeds = {tuple(stored.episodes(board.protocol).seeds[:4]) for _, stored in shown}
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for kind in ("picture", "video"):
        for cell, stored in shown:
            for medium in protocol_media(records[stored.source], board.protocol, kind, budget):
                entry = {"cell": cell, "seed": stored.result.seed, "medium": medium, "link": _link(stored.source, page)}
                rows.setdefault((kind, medium.label), []).append(entry)
    same = "the same episodes in every cell" if len(seeds) == 1 else "episodes differ between cells"
    return [{"kind": kind, "label": label, "entries": entries, "same": same} for (kind, label), entries in rows.items()]


def _shown_run(cell: DashboardCell, cells: Sequence[DashboardCell]) -> StoredResult:
    """The run of the training seed that most cells have; the smallest of several."""
    all_seeds = [stored.result.seed for other in cells for stored in other.found.pool.results]
    return min(cell.found.pool.results, key=lambda stored: (-all_seeds.count(stored.result.seed), stored.result.seed))


def _link(source: str, page: Path) -> str | None:
    """Address of a run's own page: beside its result, or W&B's."""
    if source.startswith(("http://", "https://")):
        return source
    own = Path(source).parent / _PAGE
    if not own.is_file() or own.resolve() == page.resolve():
        return None
    return urllib.parse.quote(Path(os.path.relpath(own.resolve(), page.resolve().parent)).as_posix())
