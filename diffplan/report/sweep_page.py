"""The page of a sweep, a group or a project."""

import os
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from diffplan.report.ablation import Ablation, AblationCell, value_text
from diffplan.report.ablation_sheet import cell_entries
from diffplan.report.charts import curve_chart, smoothed
from diffplan.report.page import (
    Block,
    Cell,
    Charts,
    Code,
    Figure,
    Media,
    MediaBudget,
    Medium,
    Page,
    Section,
    Table,
    Text,
    is_medium_file,
    is_video_file,
)
from diffplan.report.results import StoredResult
from diffplan.report.run_record import LoggedFile, RunRecord
from diffplan.report.score_charts import (
    INTERVAL_NOTE,
    PAPER_NOTE,
    cost_chart,
    decision_costs,
    numeric_setting,
    score_chart,
)
from diffplan.report.sheet import MISSING
from diffplan.report.sweep_content import SweepContent

MOST_CURVES = 8


def write_sweep_page(content: SweepContent, path: Path, command: str, max_bytes: int) -> int:
    """Writes the page of a sweep.

    Args:
        content: What to show.
        path: HTML file.
        command: How to make the page again.
        max_bytes: Most that pictures and videos may take; what does not fit is named and linked.

    Returns:
        Size of the page in bytes.

    Raises:
        OSError: The file cannot be written.
    """
    records = {stored.source: RunRecord.read(Path(stored.source).parent) for stored in content.results}
    budget = MediaBudget(max_bytes)
    sections = [Section(board.title, _board(board, records, budget, path)) for board in content.boards]
    if content.results:
        sections.append(Section("Every run", [_runs(content, path)]))
    commands = content.commands()
    origin = [Code("\n".join(commands), summary="The runs", is_open=len(commands) <= 3)] if commands else []
    origin += [Code(command, summary="This page", is_open=True)]
    sections.append(Section("How it was made", [*origin, Text(content.versions)]))
    if not content.boards:
        sections.insert(0, Section("", [Text(["No run has finished an evaluation, so there is nothing to plot yet."])]))
    return Page(
        title=content.selection.text,
        status=_status(content),
        chips=[("task", task) for task in dict.fromkeys(board.task for board in content.boards)],
        lines=content.data_texts,
        boxes=_boxes(content),
        sections=sections,
    ).write(path)


def _status(content: SweepContent) -> list[tuple[str, str]]:
    num_runs, skipped = len(content.results), len(content.skipped)
    status = [(f"{num_runs} finished run{'' if num_runs == 1 else 's'}", "good" if num_runs else "open")]
    if content.unfinished:
        status.append((f"{len(content.unfinished)} without a result", "bad"))
    if skipped:
        status.append((f"{skipped} file{'' if skipped == 1 else 's'} skipped", "bad"))
    return status if content.is_d4rl else [*status, ("not D4RL results", "open")]


def _boxes(content: SweepContent) -> list[Text]:
    left_out = [f"{board.title}, {label}: {reason}" for board in content.boards for label, reason in board.problems]
    left_out += [f"{run.label}: {run.state} ({run.run_dir})" for run in content.unfinished]
    left_out += [f"{source}: {reason}" for source, reason in content.skipped]
    boxes = [
        Text(content.differences, "warning", "Not everything else is equal."),
        Text(left_out, "bad", "Not in the tables below:"),
    ]
    return [box for box in boxes if box.lines]


def _board(board: Ablation, records: Mapping[str, RunRecord], budget: MediaBudget, path: Path) -> list[Block]:
    """Table, remarks, charts and media of one task and protocol."""
    figures, absent = _figures(board, records) if board.cells else ([], [])
    media: list[Block] = [*_media(board, records, budget, path)] if board.cells else []
    media = media or [Text(["Pictures and videos: none lie beside these results."])]
    remarks = [
        *(f"What changes with {name}: {', '.join(also)}; its effect is theirs too."
          for name, also in zip(board.settings, board.also, strict=True) if also),
        *([f"Not compared with a baseline: {board.not_compared}"] if board.not_compared else []),
        *(text for cell in board.cells for text in cell.pool.dropped),
    ]  # fmt: skip
    allowed = sorted({*board.allowed, *(aspect for cell in board.cells for aspect in cell.pool.allowed)})
    warning = [f"Averaged although different by request: {', '.join(allowed)}."]
    return [
        *[_scores(board)] * bool(board.cells),
        *[Text(warning, "warning")] * bool(allowed),
        Text(remarks),
        *[Charts(figures)] * bool(figures),
        Text(absent),
        *media,
    ]


def _scores(board: Ablation) -> Table:
    names, rows = list(board.settings) or ["run"], []
    for cell in board.cells:
        # The interval of the mean is in the chart below.
        entries = {name: entry for name, entry in cell_entries(cell, board).items() if name != "mean, 95 %"}
        named = [Cell(value) for value in map(value_text, cell.values)] or [Cell(cell.label)]
        named[0] = replace(named[0], badge=cell.number)
        named[-1] = replace(named[-1], muted="baseline" if cell.is_baseline else "")
        rows.append([*named, *(Cell(text, "" if number is None else number) for number, text in entries.values())])
    return Table([*names, *entries], rows, len(names))


def _figures(board: Ablation, records: Mapping[str, RunRecord]) -> tuple[list[Figure], list[str]]:
    """The charts of a board, and what is said in place of those that cannot be drawn."""
    title = f"Score against {' and '.join(board.settings)}" if board.settings else "Score"
    paper = "" if board.paper is None else PAPER_NOTE
    figures, absent = [Figure(title, score_chart(board), f"{INTERVAL_NOTE}{paper}.")], []
    cost = cost_chart(board)
    if cost is None:
        costs, unit = decision_costs(board)
        absent.append(f"Score against cost: a decision costs about the same in every cell, {costs[0]:.3g} {unit}.")
    else:
        axis = numeric_setting(board)
        numbers = "cells of the table" if axis is None else board.settings[axis]
        note = f"{INTERVAL_NOTE.partition(';')[0]}; numbers are {numbers}."
        figures.append(Figure("Score against the cost of a decision", cost, note))
    score, scored_once = f"eval/{board.protocol}/normalized_score_mean", "these runs were evaluated once"
    for title, key, reason, y_title, note in (
        ("Score over training", score, scored_once, "normalised score", "; the band is one standard error over them"),
        ("Training loss (logarithmic)", "train/loss", "their logs are not in these folders", "loss", ""),
    ):
        curves = {cell.number: _seed_curves(cell, records, key) for cell in board.cells}
        drawn = [number for number, curve in curves.items() if not curve.empty]
        if not drawn:
            absent.append(f"{title}: no curve, because {reason}.")
        for first in range(0, len(drawn), MOST_CURVES):
            part = drawn[first : first + MOST_CURVES]
            several = f", cells {part[0]} to {part[-1]}" if len(drawn) > MOST_CURVES else ""
            chart = curve_chart(pd.concat([curves[number] for number in part]), y_title, log=y_title == "loss")
            figures.append(Figure(f"{title}{several}", chart, f"Mean over training seeds{note}."))
    return figures, absent


def _seed_curves(cell: AblationCell, records: Mapping[str, RunRecord], key: str) -> pd.DataFrame:
    """Mean over the training seeds of a cell, at the steps that all of them logged, then each seed; empty below two."""
    seeds = {stored.result.seed: records[stored.source].series(key) for stored in cell.pool.results}
    wide = pd.DataFrame({seed: pd.Series(values, index=steps, dtype=float) for seed, (steps, values) in seeds.items()})
    wide = wide[np.isfinite(wide).all(axis="columns")] if len(wide.columns) else wide
    if len(wide) < 2:
        return pd.DataFrame()
    is_loss = not key.startswith("eval/")
    if is_loss and len(wide) > 4:
        wide = wide.apply(smoothed, window=len(wide) / 50)
    mean = pd.DataFrame({"step": wide.index, "value": wide.mean(axis="columns").to_numpy()})
    if len(wide.columns) == 1:
        return mean.assign(curve=f"{cell.number} {cell.label}")
    if not is_loss:
        error = (wide.std(axis="columns") / np.sqrt(len(wide.columns))).to_numpy()
        mean = mean.assign(low=mean["value"] - error, high=mean["value"] + error)
    single = wide.rename_axis("step").reset_index().melt("step", var_name="seed", value_name="value")
    return pd.concat([mean, single]).assign(curve=f"{cell.number} {cell.label}")


def _media(board: Ablation, records: Mapping[str, RunRecord], budget: MediaBudget, path: Path) -> list[Media]:
    """For each kind and label a row of cells side by side, from the training seed that most cells have."""
    shown = [(cell, _shown_run(cell, board.results)) for cell in board.cells]
    seeds = {tuple(stored.episodes(board.protocol).seeds[:4]) for _, stored in shown}
    rows: dict[tuple[bool, str], list[Medium]] = {}
    for wanted in (False, True):
        for cell, stored in shown:
            for label, file in _files(records[stored.source], board.protocol):
                if is_video_file(file.path) == wanted:
                    medium = budget.inline(file.path, label, file.step)
                    whose = f"{cell.label}, seed {stored.result.seed}"
                    own = replace(medium, whose=whose, badge=cell.number, link=_link(stored.source, path))
                    rows.setdefault((wanted, label), []).append(own)
    same = "the same episodes in every cell" if len(seeds) == 1 else "episodes differ between cells"
    return [
        Media(media, label.replace("_", " ").capitalize(), f"side by side, {same}")
        for (_, label), media in rows.items()
    ]


def _files(record: RunRecord, protocol: str) -> list[tuple[str, LoggedFile]]:
    """Label and latest file of every picture and video of a protocol."""
    found = []
    for key in record.files:
        match = re.fullmatch(r"eval/([^/]+)/([^/]+)", key)
        file = record.latest_file(key) if match and match.group(1) == protocol else None
        if match and file is not None and is_medium_file(file.path):
            found.append((match.group(2), file))
    return found


def _shown_run(cell: AblationCell, results: Sequence[StoredResult]) -> StoredResult:
    """The run of the training seed that most cells have; the smallest of several."""
    all_seeds = [stored.result.seed for stored in results]
    return min(cell.pool.results, key=lambda stored: (-all_seeds.count(stored.result.seed), stored.result.seed))


def _runs(content: SweepContent, path: Path) -> Table:
    """One row a result and protocol: seed, score, steps, what training cost, and a link to its own page."""
    rows = []
    for stored in content.results:
        result, link = stored.result, _link(stored.source, path)
        cost = sum(spent for key, spent in result.cost.items() if key.endswith("cpu_seconds"))
        for protocol, episodes in result.protocols.items():
            mean = float(np.mean(episodes.scores))
            rows.append(
                [
                    Cell(f"{result.task}/{result.name}/{stored.ablation}", link=link), Cell(protocol),
                    Cell(str(result.seed), result.seed), Cell(f"{mean:.1f}", mean),
                    Cell(str(len(episodes.seeds)), len(episodes.seeds)), Cell(f"{result.step:,}", result.step),
                    Cell(f"{cost:.0f}", cost) if cost else Cell(MISSING, ""),
                ]
            )  # fmt: skip
    columns = ["run", "protocol", "seed", "mean", "episodes", "steps trained", "CPU s of training"]
    summary = f"{len(rows)} evaluation{'' if len(rows) == 1 else 's'}"
    return Table(columns, rows, 2, summary=summary, note="click a column to sort", is_open=len(rows) <= 30)


def _link(source: str, page: Path) -> str | None:
    """Address of a run's own page: beside its result, or W&B's."""
    if source.startswith(("http://", "https://")):
        return source
    own = Path(source).parent / "index.html"
    if not own.is_file() or own.resolve() == page.resolve():
        return None
    return urllib.parse.quote(Path(os.path.relpath(own.resolve(), page.resolve().parent)).as_posix())
