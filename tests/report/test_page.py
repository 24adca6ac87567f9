import base64
import io

import numpy as np
import pytest
from PIL import Image

from diffplan.report.page import MediaBudget


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
