"""One self-contained HTML page about a run, made from nothing but the run's folder."""

import base64
import hashlib
import math
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import yaml
from markupsafe import Markup

from diffplan.errors import ConfigError
from diffplan.files import write_atomically
from diffplan.report.run_page.protocol_summary import ProtocolSummary
from diffplan.report.run_page.run_charts import run_charts
from diffplan.report.run_record import LoggedFile, RunRecord, read_table

_TEMPLATES = Path(__file__).parents[1] / "template"
_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".mp4": "video/mp4"}
_MOST_ROWS = 1000
_EARLIER_PICTURES = 4


def write_run_page(run_dir: Path) -> Path:
    """Writes ``index.html`` into a run folder; it can be made again at any time, also of a run that was killed.

    Pictures and videos are part of the file, nothing is fetched from anywhere, and everything that comes from the run
    is shown as text, whatever it holds.

    Args:
        run_dir: Folder of a run.

    Returns:
        The page.

    Raises:
        ConfigError: there is no such folder.
    """
    if not run_dir.is_dir():
        raise ConfigError(f"A run folder must exist to make a page of it, got {run_dir}.")
    record = RunRecord.read(run_dir)
    page = run_dir / "index.html"
    write_atomically(page, _render(_content(record)).encode())
    return page


def _content(record: RunRecord) -> dict[str, Any]:
    groups = record.groups
    summaries = ProtocolSummary.of_run(record)
    return {
        "title": str(groups.get("name") or record.config.get("name") or record.run_dir.resolve().name),
        "groups": {key: value for key, value in groups.items() if key != "name" and value not in (None, "", [])},
        "status": _status(record),
        "summaries": summaries,
        "facts": _facts(record),
        "charts": run_charts(record, [summary.protocol for summary in summaries]),
        "sections": _sections(record, [summary.protocol for summary in summaries]),
        "config": yaml.safe_dump(record.config, sort_keys=False, allow_unicode=True) if record.config else "",
        "starts": _starts(record),
        "folder": str(record.run_dir.resolve()),
    }


def _render(content: dict[str, Any]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    style, script = ((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("run_page.css", "run_page.js"))
    # The policy lets exactly this script run, so that not even a mistake in escaping could start another.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = environment.get_template("run_page.html.j2")
    return template.render(content, style=Markup(style), script=Markup(script), script_hash=f"sha256-{digest}")


def _status(record: RunRecord) -> dict[str, str]:
    """How the run stands: a word, a class for its colour, and when something was last written."""
    when = _clock(record.last_time)
    last = record.events[-1] if record.events else {}
    if last.get("event") != "finish":
        return {"word": "running or interrupted" if record.last_time else "empty", "kind": "open", "when": when}
    if last.get("status") == "success":
        return {"word": "finished", "kind": "good", "when": when}
    return {"word": f"ended: {last.get('status')}", "kind": "bad", "when": when}


def _facts(record: RunRecord) -> list[tuple[str, str]]:
    facts = [("training steps", f"{record.last_step:,}")]
    for key, label, form in (
        ("train/loss", "training loss", "{:.4g}"),
        ("train/steps_per_second", "steps per second", "{:.1f}"),
    ):
        value = record.latest(key)
        if value is not None:
            facts.append((label, form.format(value)))
    begin = next((e["time"] for e in record.events if isinstance(e.get("time"), (int, float))), None)
    if begin is not None and record.last_time is not None:
        facts.append(("elapsed", _duration(record.last_time - begin)))
    return facts


def _sections(record: RunRecord, protocols: list[str]) -> list[dict[str, Any]]:
    """Pictures, videos and tables: one section per protocol in the given order, then whatever else was logged."""
    sections: dict[str, dict[str, Any]] = {}
    for key in record.files:
        match = re.fullmatch(r"eval/([^/]+)/([^/]+)", key)
        name, label = (match.group(1), match.group(2)) if match else ("other", key)
        section = sections.setdefault(name, {"name": name, "pictures": [], "videos": [], "tables": []})
        file = record.latest_file(key)
        if file is None:
            continue
        suffix = file.path.suffix.lower()
        if suffix == ".csv":
            section["tables"].append({"label": label, "step": file.step, **_table(file.path)})
        elif suffix in _TYPES:
            kind = "videos" if _TYPES[suffix].startswith("video/") else "pictures"
            earlier = _earlier(record.files[key], file) if kind == "pictures" else []
            section[kind].append({"label": label, **_inline(file), "earlier": [_inline(old) for old in earlier]})
    filled = [section for section in sections.values() if section["pictures"] or section["videos"] or section["tables"]]
    return sorted(filled, key=lambda section: [*protocols, section["name"]].index(section["name"]))


def _inline(file: LoggedFile) -> dict[str, Any]:
    content = base64.b64encode(file.path.read_bytes()).decode()
    return {"step": file.step, "data": f"data:{_TYPES[file.path.suffix.lower()]};base64,{content}"}


def _earlier(files: list[LoggedFile], latest: LoggedFile) -> list[LoggedFile]:
    """A few of the pictures before the latest, evenly spread, the first one included."""
    before = [file for file in files if file.step < latest.step and file.path.is_file()]
    if len(before) <= _EARLIER_PICTURES:
        return before
    return [before[index * (len(before) - 1) // (_EARLIER_PICTURES - 1)] for index in range(_EARLIER_PICTURES)]


def _table(path: Path) -> dict[str, Any]:
    columns, rows = read_table(path)
    texts = [_column_texts([row[number] for row in rows[:_MOST_ROWS]]) for number in range(len(columns))]
    return {
        "columns": [column.replace("_", " ") for column in columns],
        "rows": [
            [{"full": cell, "text": texts[number][index]} for number, cell in enumerate(row)]
            for index, row in enumerate(rows[:_MOST_ROWS])
        ],
        "left_out": max(len(rows) - _MOST_ROWS, 0),
    }


def _column_texts(cells: list[str]) -> list[str]:
    """Whole numbers stay whole where the column has no others; the rest gets two decimals."""
    values = [_number(cell) for cell in cells]
    whole = all(value is None or value.is_integer() for value in values)
    form = "{:.0f}" if whole else "{:.2f}"
    return [cell or "none" if value is None else form.format(value) for cell, value in zip(cells, values, strict=True)]


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _starts(record: RunRecord) -> list[dict[str, Any]]:
    starts = []
    for event in record.events:
        if event.get("event") != "start":
            continue
        command, versions = event.get("command"), event.get("versions")
        starts.append(
            {
                "when": _clock(event.get("time")),
                "command": shlex.join(str(word) for word in command) if isinstance(command, list) else "",
                "python": f"Python {event.get('python', '?')}, {event.get('platform', '?')}",
                "versions": versions if isinstance(versions, dict) else {},
            }
        )
    return starts


def _clock(seconds: Any) -> str:
    if not isinstance(seconds, (int, float)):
        return ""
    try:
        return datetime.fromtimestamp(seconds, tz=UTC).strftime("%d %b %Y, %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return ""


def _duration(seconds: float) -> str:
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {int(seconds % 60)} s" if minutes else f"{seconds:.0f} s"
