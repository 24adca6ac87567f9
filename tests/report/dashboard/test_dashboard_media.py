import base64
import io

import numpy as np
import pytest
from PIL import Image

from diffplan.report.dashboard.dashboard_media import MediaBudget, protocol_media
from diffplan.report.run_record import LoggedFile, RunRecord


def record(tmp_path, **files):
    logged = {}
    for name, content in files.items():
        label, _, suffix = name.rpartition("_")
        path = tmp_path / f"{label}.{suffix}"
        path.write_bytes(content)
        logged[f"eval/single_task/{label}"] = [LoggedFile(f"eval/single_task/{label}", 7, path)]
    return RunRecord(tmp_path, {}, {}, logged, [])


def png(width, height=40):
    picture, buffer = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8), io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def media(found, kind="picture", left=10**6, protocol="single_task"):
    return protocol_media(found, protocol, kind, MediaBudget(left))


def test_a_small_picture_and_a_video_stay_as_they_are(tmp_path):
    found = record(tmp_path, plans_png=png(60), video_mp4=b"film")
    (picture,), (video,) = media(found), media(found, "video")
    assert base64.b64decode(picture.data.removeprefix("data:image/png;base64,")) == png(60)
    assert base64.b64decode(video.data.removeprefix("data:video/mp4;base64,")) == b"film"
    assert (picture.label, picture.step, picture.note) == ("plans", 7, "")


def test_a_wide_picture_is_scaled_down_and_says_so(tmp_path):
    (picture,) = media(record(tmp_path, plans_png=png(1800, 100)))
    smaller = Image.open(io.BytesIO(base64.b64decode(picture.data.removeprefix("data:image/webp;base64,"))))
    assert smaller.size == (900, 50)
    assert picture.note == "scaled down from 1800 to 900 pixels"


def test_what_does_not_fit_is_named(tmp_path):
    found = record(tmp_path, video_mp4=bytes(3 * 2**20))
    (video,) = media(found, "video")
    assert video.data == ""
    assert video.note == "left out to keep the page small (4.0 MiB)"


def test_a_budget_is_spent_once():
    budget = MediaBudget(10)
    assert [budget.take(6), budget.take(6), budget.take(4)] == [True, False, True]


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n half"])
def test_a_broken_picture_is_named(tmp_path, content):
    (picture,) = media(record(tmp_path, plans_png=content))
    assert (picture.data, picture.note) == ("", "cannot be read")


def test_tables_and_other_protocols_are_no_media(tmp_path):
    found = record(tmp_path, episodes_csv=b"seed\n0\n", plans_png=png(8))
    assert [medium.label for medium in media(found)] == ["plans"]
    assert media(found, protocol="multi2d") == []
