import base64
import io
import json
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from diffplan.report.charts import curve_chart
from diffplan.report.page import Cell, Charts, Code, Figure, Media, MediaBudget, Medium, Page, Section, Table, Text


def png(width, height=40):
    picture, buffer = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8), io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def inline(tmp_path, name, content, left=10**6):
    path = tmp_path / name
    path.write_bytes(content)
    return MediaBudget(left).inline(path, path.stem, 7)


def test_a_small_picture_and_a_video_stay_as_they_are(tmp_path):
    picture, video = inline(tmp_path, "plans.png", png(60)), inline(tmp_path, "video.mp4", b"film")
    assert base64.b64decode(picture.data.removeprefix("data:image/png;base64,")) == png(60)
    assert base64.b64decode(video.data.removeprefix("data:video/mp4;base64,")) == b"film"
    assert (picture.label, picture.step, picture.note) == ("plans", 7, "")
    assert (picture.is_video, video.is_video) == (False, True)


def test_a_wide_picture_is_scaled_down_and_says_so(tmp_path):
    picture = inline(tmp_path, "plans.png", png(2400, 100))
    smaller = Image.open(io.BytesIO(base64.b64decode(picture.data.removeprefix("data:image/webp;base64,"))))
    assert smaller.size == (1200, 50)
    assert picture.note == "scaled down from 2400 to 1200 pixels"


def test_what_does_not_fit_is_named(tmp_path):
    video = inline(tmp_path, "video.mp4", bytes(3 * 2**20))
    assert video.data == ""
    assert video.note == "left out to keep the page small (4.0 MiB)"


def test_a_budget_is_spent_once(tmp_path):
    (tmp_path / "a.mp4").write_bytes(bytes(6))
    budget = MediaBudget(12)
    assert [bool(budget.inline(tmp_path / "a.mp4", "a", 1).data) for _ in range(3)] == [True, False, False]


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n half"])
def test_a_broken_picture_is_named(tmp_path, content):
    picture = inline(tmp_path, "plans.png", content)
    assert (picture.data, picture.note) == ("", "cannot be read")


HOSTILE = "\x1b]0;owned\x07</script><script>alert(1)</script><img src=x onerror=alert(1)>\u202e\udcff\"'"


class Reader(HTMLParser):
    """Notes what a browser would run."""

    def __init__(self) -> None:
        super().__init__()
        self.tags, self.types, self.json = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "script":
            self.types.append(dict(attributes).get("type"))
        assert not any(name.startswith("on") for name, _ in attributes)

    def handle_data(self, data):
        if self.tags[-1:] == ["script"] and self.types[-1] == "application/json" and data.strip():
            self.json.append(json.loads(data))


def read(page):
    reader = Reader()
    reader.feed(page)
    return reader


def test_text_from_files_is_shown_as_text_wherever_it_stands():
    curve = pd.DataFrame({"curve": HOSTILE, "step": [0, 1], "value": [0.0, 1.0]})
    folds = {"summary": HOSTILE, "note": HOSTILE, "below": HOSTILE}
    blocks = [
        Charts([Figure(HOSTILE, curve_chart(curve, HOSTILE), HOSTILE)], **folds),
        Media([Medium(HOSTILE, 1, "", whose=HOSTILE, note=HOSTILE, link="run.html")], HOSTILE, HOSTILE),
        Table([HOSTILE], [[Cell(HOSTILE, HOSTILE, muted=HOSTILE)]], **folds, num_text_columns=1),
        Code(HOSTILE + "\nnext line", **folds),
        Text([HOSTILE]),
        Text([HOSTILE], "bad", HOSTILE),
    ]
    pairs = [(HOSTILE, HOSTILE)]
    page = Page(
        HOSTILE, [(HOSTILE, "good")], pairs, [HOSTILE], [Text([HOSTILE])], (), pairs, [Section(HOSTILE, blocks)]
    )
    content = page.html()
    content.encode()
    assert not set(content) & set("\x1b\x07\u202e")
    assert "next line" in content
    reader, plain = read(content), read(Page("a", sections=[Section("b", [Charts([])])]).html())
    assert reader.types.count(None) == plain.types.count(None)
    assert "img" not in reader.tags
    # The chart's own data are the text itself.
    assert HOSTILE in [row["curve"] for spec in reader.json for rows in spec["datasets"].values() for row in rows]
