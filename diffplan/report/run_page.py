"""The page of a run, made from nothing but the run's folder."""

import math
import re
import shlex
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from diffplan.errors import ConfigError
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
from diffplan.report.run_record import LoggedFile, RunRecord, read_table
from diffplan.report.run_summary import ProtocolSummary, protocol_title

_LOSS, _SPEED = "train/loss", "train/steps_per_second"
_HIDDEN = {"epoch"}
_MOST_ROWS, _MOST_OPEN_ROWS = 1000, 25
_EARLIER_PICTURES = 4


def write_run_page(run_dir: Path) -> Path:
    """Writes ``index.html`` into a run folder; it can be made again at any time, also of a run that was killed.

    Args:
        run_dir: Folder of a run.

    Returns:
        The page.

    Raises:
        ConfigError: There is no such folder.
    """
    if not run_dir.is_dir():
        raise ConfigError(f"A run folder must exist to make a page of it, got {run_dir}.")
    path = run_dir / "index.html"
    run_page(RunRecord.read(run_dir)).write(path)
    return path


def run_page(record: RunRecord) -> Page:
    """Describes the page of a run.

    Args:
        record: What the run left.
    """
    summaries = ProtocolSummary.of_run(record)
    groups = record.groups
    main, more = _figures(record, summaries)
    learning = [Charts(main)] * bool(main) + [Charts(more, summary=f"{len(more)} more curves")] * bool(more)
    return Page(
        title=str(groups.get("name") or record.config.get("name") or record.run_dir.resolve().name),
        status=[_status(record)],
        chips=[(key, str(value)) for key, value in groups.items() if key != "name" and value not in (None, "", [])],
        scores=summaries,
        facts=_facts(record),
        sections=[
            Section("Learning", learning),
            *_logged(record, [summary.protocol for summary in summaries]),
            Section("How it was made", _origin(record)),
        ],
    )


def _figures(record: RunRecord, summaries: Sequence[ProtocolSummary]) -> tuple[list[Figure], list[Figure]]:
    """Loss, scores over training and speed; then every other number that was logged at least twice."""
    main = [_figure("Training loss (logarithmic)", [_curve(record, _LOSS, "loss", smooth=True)], "loss", log=True)]
    used = {_LOSS, _SPEED} | _HIDDEN
    for summary in summaries:
        prefix = f"eval/{summary.protocol}/"
        curves = [
            _curve(record, f"{prefix}{name}_mean", label, spread=f"{prefix}{name}_stderr")
            for name, label in (("normalized_score", "score"), ("latched_score", "latched score"))
        ]
        reference = (summary.paper[0], f"paper {summary.paper_text}") if summary.paper else None
        main.append(_figure(f"{summary.title}: score over training", curves, "score", reference=reference))
        used |= {
            key for key in record.keys if key.startswith((f"{prefix}normalized_score_", f"{prefix}latched_score_"))
        }
    main.append(_figure("Training steps per second", [_curve(record, _SPEED, "speed", smooth=True)], "steps / s"))
    more = [_figure(key, [_curve(record, key, key)], "", height=150) for key in sorted(set(record.keys) - used)]
    return [figure for figure in main if figure], [figure for figure in more if figure]


def _curve(record: RunRecord, key: str, name: str, *, spread: str | None = None, smooth: bool = False) -> pd.DataFrame:
    steps, values = record.series(key)
    curve = pd.DataFrame({"curve": name, "step": steps, "value": values}).dropna()
    if spread is not None:
        half = pd.Series([record.metrics[step].get(spread, math.nan) for step in curve["step"]], index=curve.index)
        curve = curve.assign(low=curve["value"] - half.fillna(0.0), high=curve["value"] + half.fillna(0.0))
    if smooth and len(curve) > 4:
        curve = curve.assign(raw=curve["value"], value=smoothed(curve["value"], len(curve) / 50))
    return curve


def _figure(title: str, curves: Sequence[pd.DataFrame], y_title: str, **options: Any) -> Figure | None:
    """A chart of curves; None if no curve has two points, because the tiles show a single one."""
    shown = [curve for curve in curves if len(curve) >= 2 and not (options.get("log") and (curve["value"] <= 0).all())]
    return Figure(title, curve_chart(pd.concat(shown), y_title, **options)) if shown else None


def _status(record: RunRecord) -> tuple[str, str]:
    """How the run stands: a word and its look."""
    last = record.events[-1] if record.events else {}
    if last.get("event") != "finish":
        return ("running or interrupted" if record.last_time else "empty", "open")
    return ("finished", "good") if last.get("status") == "success" else (f"ended: {last.get('status')}", "bad")


def _facts(record: RunRecord) -> list[tuple[str, str]]:
    facts = [("training steps", f"{record.last_step:,}")]
    for key, label, form in ((_LOSS, "training loss", "{:.4g}"), (_SPEED, "steps per second", "{:.1f}")):
        value = record.latest(key)
        if value is not None:
            facts.append((label, form.format(value)))
    begin = next((e["time"] for e in record.events if isinstance(e.get("time"), (int, float))), None)
    if begin is not None and record.last_time is not None:
        facts.append(("elapsed", _duration(record.last_time - begin)))
    when = _clock(record.last_time)
    return [*facts, ("last written", when)] if when else facts


def _logged(record: RunRecord, protocols: list[str]) -> list[Section]:
    """Pictures, videos and tables: one section per protocol in the given order, then whatever else was logged."""
    media: dict[str, list[Medium]] = defaultdict(list)
    tables: dict[str, list[Table]] = defaultdict(list)
    budget = MediaBudget()
    for key in record.files:
        match = re.fullmatch(r"eval/([^/]+)/([^/]+)", key)
        name, label = (match.group(1), match.group(2)) if match else ("other", key)
        file = record.latest_file(key)
        if file is not None and file.path.suffix.lower() == ".csv":
            tables[name].append(_table(file, label))
        elif file is not None and is_medium_file(file.path):
            media[name].append(_medium(record.files[key], file, label, budget))
    sections = []
    for name in sorted({*media, *tables}, key=lambda name: [*protocols, name].index(name)):
        pictures_first = [Media(sorted(media[name], key=lambda medium: medium.is_video))] * bool(media[name])
        title = "Further results" if name == "other" else protocol_title(name)
        sections.append(Section(title, [*pictures_first, *tables[name]]))
    return sections


def _medium(files: Sequence[LoggedFile], latest: LoggedFile, label: str, budget: MediaBudget) -> Medium:
    """The latest picture or video; pictures come with a few earlier ones, evenly spread, the first one included."""
    before = [] if is_video_file(latest.path) else [f for f in files if f.step < latest.step and f.path.is_file()]
    if len(before) > _EARLIER_PICTURES:
        before = [before[int(place)] for place in np.linspace(0, len(before) - 1, _EARLIER_PICTURES)]
    earlier = [budget.inline(file.path, label, file.step) for file in before]
    return budget.inline(latest.path, label, latest.step, earlier)


def _table(file: LoggedFile, label: str) -> Table:
    table = read_table(file.path)
    shown = table.iloc[:_MOST_ROWS]
    texts = shown.apply(_column_texts)
    left_out = len(table) - len(shown)
    return Table(
        [column.replace("_", " ") for column in table.columns],
        [[*map(Cell, *rows)] for rows in zip(texts.to_numpy().tolist(), shown.to_numpy().tolist(), strict=True)],
        summary=label,
        note=f"{len(shown)} rows, step {file.step:,}; click a column to sort",
        is_open=len(shown) <= _MOST_OPEN_ROWS,
        below=f"{left_out} more rows are in the CSV file." if left_out else "",
    )


def _column_texts(cells: pd.Series) -> pd.Series:
    """Whole numbers stay whole if the column has no others; other numbers get two decimals."""
    values = pd.to_numeric(cells, errors="coerce").replace([math.inf, -math.inf], math.nan)
    form = "{:.0f}" if (values.dropna() % 1 == 0).all() else "{:.2f}"
    return values.map(form.format).where(values.notna(), cells.replace("", "none"))


def _origin(record: RunRecord) -> list[Block]:
    """Config, commands and versions of the run, and where its numbers are."""
    blocks: list[Block] = []
    if record.config:
        config = yaml.safe_dump(record.config, sort_keys=False, allow_unicode=True)
        blocks.append(Code(config, summary="Resolved config"))
    starts = [event for event in record.events if event.get("event") == "start"]
    for number, event in enumerate(starts):
        command, versions = event.get("command"), event.get("versions")
        used = [f"Python {event.get('python', '?')}, {event.get('platform', '?')}"]
        used += [f"{name} {version}" for name, version in versions.items()] if isinstance(versions, dict) else []
        blocks.append(
            Code(
                shlex.join(str(word) for word in command) if isinstance(command, list) else "",
                summary="Resumed" if number else "Started",
                is_open=number == len(starts) - 1,
                note=_clock(event.get("time")),
                below=" · ".join(used),
            )
        )
    folder = record.run_dir.resolve()
    return [*blocks, Text([f"Made from the files in {folder}: the numbers are in metrics.csv."])]


def _clock(seconds: Any) -> str:
    if not isinstance(seconds, (int, float)):
        return ""
    try:
        return datetime.fromtimestamp(seconds, tz=UTC).strftime("%d %b %Y, %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return ""


def _duration(seconds: float) -> str:
    minutes = int(seconds // 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {int(seconds % 60)} s" if minutes else f"{seconds:.0f} s"
