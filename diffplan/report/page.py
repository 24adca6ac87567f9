"""One self-contained HTML page: nothing is fetched, and whatever comes from a run is shown as text."""

import base64
import hashlib
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
import jinja2
from markupsafe import Markup, escape
from PIL import Image

from diffplan.errors import ResultError
from diffplan.files import read_whole, write_atomically
from diffplan.report.charts import chart_config, chart_script, chart_spec
from diffplan.report.run_summary import ProtocolSummary
from diffplan.terminal import printable

_TEMPLATES = Path(__file__).with_name("template")
_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".mp4": "video/mp4"}
_MOST_BYTES = 2**28
_MOST_PIXELS = 1200  # in width: twice what a card on a laptop has
_SIZE_MARK = "size-of-this-page"


@dataclass(frozen=True)
class Figure:
    """A chart with its heading, and a note on what it shows."""

    title: str
    chart: alt.LayerChart
    note: str = ""

    @property
    def spec(self) -> dict[str, Any]:
        """The chart as Vega-Lite, described for screen readers."""
        return chart_spec(self.chart) | {"description": self.title}


@dataclass(frozen=True)
class Medium:
    """A picture or a video that is part of the page.

    Attributes:
        label: What it shows: ``plans``, ``video``, ``imagined``...
        step: Training step it belongs to.
        data: A ``data:`` address; empty if the medium was left out.
        is_video: Whether it is a video.
        note: Why it was left out or changed; empty if it is as it was.
        whose: Text before the step, such as the cell that it belongs to.
        badge: Number of that cell.
        link: Address of the run's own page.
        earlier: The same picture at earlier steps.
    """

    label: str
    step: int
    data: str
    is_video: bool = False
    note: str = ""
    whose: str = ""
    badge: int | None = None
    link: str | None = None
    earlier: "Sequence[Medium]" = ()


@dataclass(frozen=True)
class Media:
    """Pictures and videos side by side, at least one, with a heading and a note beside it."""

    items: Sequence[Medium]
    title: str = ""
    note: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: What is shown.
        sort: What the column is sorted by; the text itself if None.
        badge: Number of the cell of a sweep, shown in its colour before the text.
        link: Address of a page.
        muted: Text behind, in grey.
    """

    text: str
    sort: float | int | str | None = None
    badge: int | None = None
    link: str | None = None
    muted: str = ""


@dataclass(frozen=True, kw_only=True)
class AbstractFold:
    """Content that folds away under a line.

    Attributes:
        summary: The line; empty for content that does not fold.
        note: Muted text beside the line.
        is_open: Whether the content is shown at first.
        below: Muted text below the content.
    """

    summary: str = ""
    note: str = ""
    is_open: bool = False
    below: str = ""


@dataclass(frozen=True)
class Charts(AbstractFold):
    """Charts side by side; they are smaller if they fold away."""

    figures: Sequence[Figure]


@dataclass(frozen=True)
class Table(AbstractFold):
    """A table that a click on a heading sorts; the first ``num_text_columns`` hold words rather than numbers."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    num_text_columns: int = 0


@dataclass(frozen=True)
class Code(AbstractFold):
    """Preformatted text."""

    text: str


@dataclass(frozen=True)
class Text:
    """Paragraphs: ``muted`` ones, or a ``warning`` or ``bad`` box with a heading."""

    lines: Sequence[str]
    look: str = "muted"
    heading: str = ""


Block = Charts | Media | Table | Text | Code


@dataclass(frozen=True)
class Section:
    """A part of a page; one without blocks is left out."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """What a page shows, from top to bottom.

    Attributes:
        title: Heading.
        status: Words with their look, ``good``, ``bad`` or ``open``.
        chips: Label and text of what the page is about.
        lines: Muted lines below.
        boxes: Warnings.
        scores: Headline numbers.
        facts: Label and text of further numbers.
        sections: The rest.
    """

    title: str
    status: Sequence[tuple[str, str]] = ()
    chips: Sequence[tuple[str, str]] = ()
    lines: Sequence[str] = ()
    boxes: Sequence[Text] = ()
    scores: Sequence[ProtocolSummary] = ()
    facts: Sequence[tuple[str, str]] = ()
    sections: Sequence[Section] = ()

    def write(self, path: Path) -> int:
        """Writes the page, whole or not at all.

        Args:
            path: HTML file.

        Returns:
            Size of the page in bytes.

        Raises:
            OSError: The file cannot be written.
        """
        content = self.html().encode()
        write_atomically(path, content)
        return len(content)

    def html(self) -> str:
        """Renders the page; Vega is part of it if it has a chart, about 0.9 MB."""
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True,
            finalize=_without_control_characters,
        )  # fmt: skip
        environment.filters |= {"breakable": _breakable, "kind": lambda block: type(block).__name__}
        has_charts = any(isinstance(block, Charts) for section in self.sections for block in section.blocks)
        style, script = ((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
        look = f"const chartConfig = {json.dumps(chart_config(on_page=True))};\n"
        scripts = [text.replace("</script", r"<\/script") for text in [chart_script()] * has_charts + [look + script]]
        text = environment.get_template("page.html.j2").render(
            page=self,
            style=Markup(style),
            scripts=[Markup(script) for script in scripts],
            # The policy lets exactly these scripts run, so that not even a mistake in escaping could start another.
            hashes=[_hash(script) for script in scripts],
            size=_SIZE_MARK,
        )
        return text.replace(_SIZE_MARK, f"{len(text.encode()) / 2**20:.1f} MiB")


@dataclass
class MediaBudget:
    """Bytes that pictures and videos of a page may still take.

    Attributes:
        left: Bytes; infinite by default.
    """

    left: float | int = math.inf

    def inline(self, path: Path, label: str, step: int, earlier: Sequence[Medium] = ()) -> Medium:
        """Makes a picture or video part of the page; what cannot be read or does not fit is named and not shown.

        Args:
            path: PNG, JPEG or MP4 file.
            label: What it shows.
            step: Training step it belongs to.
            earlier: The same picture at earlier steps.
        """
        is_video, data = is_video_file(path), ""
        try:
            is_whole = (read_whole(path, _MOST_BYTES), _TYPES[path.suffix.lower()], "") if is_video else None
            content, mime, note = is_whole or _shrunk(path)
            size = len(content) * 4 // 3
            if size > self.left:
                note = f"left out to keep the page small ({size / 2**20:.1f} MiB)"
            else:
                self.left -= size
                data = f"data:{mime};base64,{base64.b64encode(content).decode()}"
        except (OSError, ResultError, ValueError, SyntaxError, Image.DecompressionBombError):
            note = "cannot be read"
        return Medium(label, step, data, is_video, note, earlier=earlier)


def is_medium_file(path: Path) -> bool:
    """Tells whether a page can show a file as a picture or a video."""
    return path.suffix.lower() in _TYPES


def is_video_file(path: Path) -> bool:
    """Tells whether a page shows a file as a video."""
    return _TYPES.get(path.suffix.lower(), "").startswith("video/")


def _shrunk(path: Path) -> tuple[bytes, str, str]:
    """The picture, its type, and what was done to it: the file or a smaller picture, whichever takes less room."""
    original = read_whole(path, _MOST_BYTES)
    mime = _TYPES[path.suffix.lower()]
    with Image.open(io.BytesIO(original), formats=("PNG", "JPEG")) as picture:
        picture.load()
        if picture.width <= _MOST_PIXELS:
            return original, mime, ""
        size = (_MOST_PIXELS, max(1, round(picture.height * _MOST_PIXELS / picture.width)))
        smaller, buffer = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS), io.BytesIO()
        smaller.save(buffer, "WEBP", quality=85)
    if buffer.tell() >= len(original):
        return original, mime, ""
    return buffer.getvalue(), "image/webp", f"scaled down from {picture.width} to {_MOST_PIXELS} pixels"


def _breakable(name: str) -> Markup:
    """A dotted key that a narrow column may break after its dots and underscores."""
    return Markup(str(escape(printable(name))).replace("_", "_<wbr>").replace(".", ".<wbr>"))


def _without_control_characters(value: Any) -> Any:
    """Writes the characters that are no text as their codes; markup has no others, and keeps its lines."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return "\n".join(printable(line, len(line)) for line in value.split("\n"))
    return value


def _hash(script: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
