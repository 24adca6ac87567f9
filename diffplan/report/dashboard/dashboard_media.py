"""Pictures and videos of runs, small enough to be part of one page."""

import base64
import io
import re
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from diffplan.report.run_record import RunRecord

_PICTURES, _VIDEOS = {".png", ".jpg", ".jpeg"}, {".mp4"}
_MOST_PIXELS = 900  # in width: twice what a card on a laptop has


@dataclass(frozen=True)
class InlineMedium:
    """A picture or a video as part of a page.

    Attributes:
        label: What it shows: ``plans``, ``video``, ``imagined``...
        kind: ``picture`` or ``video``.
        step: Training step it belongs to.
        data: A ``data:`` address; empty where it was left out.
        note: Why it was left out or changed; empty where it is as it was.
    """

    label: str
    kind: str
    step: int
    data: str
    note: str = ""


@dataclass
class MediaBudget:
    """What a page may still take in.

    Attributes:
        left: Bytes.
    """

    left: int

    def take(self, size: int) -> bool:
        """Takes a medium in, if it fits."""
        if size > self.left:
            return False
        self.left -= size
        return True


def protocol_media(record: RunRecord, protocol: str, kind: str, budget: MediaBudget) -> list[InlineMedium]:
    """The latest picture or video of every label of one protocol.

    Args:
        record: The run.
        protocol: ``single_task`` or ``multi2d``.
        kind: ``picture`` or ``video``.
        budget: What the page may still take in; what does not fit is named and not shown.
    """
    media = []
    suffixes = _PICTURES if kind == "picture" else _VIDEOS
    for key in record.files:
        match = re.fullmatch(r"eval/([^/]+)/([^/]+)", key)
        file = record.latest_file(key) if match and match.group(1) == protocol else None
        if match and file is not None and file.path.suffix.lower() in suffixes:
            media.append(_inline(file.path, match.group(2), kind, file.step, budget))
    return media


def _inline(path: Path, label: str, kind: str, step: int, budget: MediaBudget) -> InlineMedium:
    try:
        content, mime, note = _shrunk(path) if kind == "picture" else (path.read_bytes(), "video/mp4", "")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return InlineMedium(label, kind, step, "", "cannot be read")
    size = len(content) * 4 // 3
    if not budget.take(size):
        return InlineMedium(label, kind, step, "", f"left out to keep the page small ({size / 2**20:.1f} MiB)")
    return InlineMedium(label, kind, step, f"data:{mime};base64,{base64.b64encode(content).decode()}", note)


def _shrunk(path: Path) -> tuple[bytes, str, str]:
    """The picture, its type, and what was done to it; whichever of file and smaller picture takes less room."""
    original = path.read_bytes()
    mime = "image/png" if path.suffix.lower() == ".png" else "image/jpeg"
    with Image.open(io.BytesIO(original)) as picture:
        picture.load()
        if picture.width <= _MOST_PIXELS:
            return original, mime, ""
        size = (_MOST_PIXELS, max(1, round(picture.height * _MOST_PIXELS / picture.width)))
        smaller, buffer = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS), io.BytesIO()
        smaller.save(buffer, "WEBP", quality=85)
    if buffer.tell() >= len(original):
        return original, mime, ""
    return buffer.getvalue(), "image/webp", f"scaled down from {picture.width} to {_MOST_PIXELS} pixels"
