import base64
import re

import numpy as np
import pytest
from PIL import Image

from diffplan.errors import ConfigError
from diffplan.report.picture.media_files import write_video
from diffplan.report.run_page import run_page, write_run_page
from diffplan.report.run_record import RunRecord
from diffplan.tracking.csv_logger import CsvLogger
from tests.report.conftest import Page

HOSTILE = '<script>alert("1")</script><img src=x onerror=alert(2)>\'"&'


def logged_run(tmp_path, name="quick_start", protocol="single_task", steps=(100, 200)):
    run_dir = tmp_path / "run"
    logger = CsvLogger(run_dir)
    config = {"task": {"name": "maze2d-umaze-v1", "paper_scores": {protocol: [113.9, 3.1]}}, "note": name}
    logger.log_config(config, {"task": "maze2d-umaze-v1", "name": name, "seed": 0})
    Image.new("RGB", (8, 6), "red").save(tmp_path / "plans.png")
    write_video(np.zeros((3, 16, 16, 3), np.uint8), tmp_path / "video.mp4", fps=10)
    for step in steps:
        logger.log_metrics({"train/loss": 50.0 / step}, step=step)
        score = {"normalized_score_mean": 110.5 + step, "normalized_score_stderr": 4.3, "success_rate": 1.0}
        logger.log_metrics({f"eval/{protocol}/{key}": value for key, value in score.items()}, step=step)
        logger.log_media(f"eval/{protocol}/plans", tmp_path / "plans.png", step)
        logger.log_media(f"eval/{protocol}/video", tmp_path / "video.mp4", step)
        rows = [[0, name, 1.0], [1, "", float("nan")]]
        logger.log_table(f"eval/{protocol}/episodes", ["seed", "start_x", "score"], rows, step)
    return run_dir, logger


def test_the_page_shows_score_paper_curves_media_table_config_and_command(tmp_path):
    run_dir, logger = logged_run(tmp_path)
    logger.finalize("success")
    page = Page(write_run_page(run_dir))
    for text in ("quick_start", "finished", "310.5 ± 4.3", "113.9 ± 3.1", "+196.6", "start x", "paper_scores", "torch"):
        assert text in page.text
    assert [chart["description"] for chart in page.charts] == [
        "Training loss (logarithmic)", "Single task: score over training", "eval/single_task/success_rate",
    ]  # fmt: skip
    picture = base64.b64decode(page.all("img")[0]["src"].removeprefix("data:image/png;base64,"))
    assert picture == (tmp_path / "plans.png").read_bytes()
    (video,) = page.all("video")
    assert "controls" in video
    assert (
        base64.b64decode(video["src"].removeprefix("data:video/mp4;base64,")) == (tmp_path / "video.mp4").read_bytes()
    )


def test_the_page_fetches_nothing(tmp_path):
    run_dir, _ = logged_run(tmp_path)
    path = write_run_page(run_dir)
    page = Page(path)
    addresses = [value for _, attributes in page.tags for key, value in attributes.items() if key in ("src", "href")]
    assert addresses
    assert all(address.startswith("data:") for address in addresses)
    outside = re.sub(r"<script.*?</script>", "", path.read_text(), flags=re.DOTALL)
    assert not re.search(r"url\(|@import|fetch\(|https?://", outside)
    assert not page.all("link")


def test_what_comes_from_the_run_is_shown_as_text(tmp_path):
    run_dir, logger = logged_run(tmp_path, name=HOSTILE, protocol="<b>p</b>")
    logger.log_metrics({f"train/{HOSTILE}": 1.0}, step=100)
    logger.log_metrics({f"train/{HOSTILE}": 2.0}, step=200)
    logger.log_table(f"{HOSTILE}", [HOSTILE], [[HOSTILE]], step=1)
    logger.finalize(HOSTILE)
    page = Page(write_run_page(run_dir))
    assert len([a for a in page.all("script") if "type" not in a]) == 2
    assert all("onerror" not in attributes for _, attributes in page.tags)
    assert all(attributes["src"].startswith("data:") for attributes in page.all("img"))
    assert not page.all("b")
    assert page.text.count("alert(2)") >= 5


def test_only_the_pages_own_script_may_run(tmp_path):
    run_dir, _ = logged_run(tmp_path)
    (policy,) = [a["content"] for a in Page(write_run_page(run_dir)).all("meta") if "http-equiv" in a]
    assert "default-src 'none'" in policy
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/=]{44}' 'sha256-[A-Za-z0-9+/=]{44}'$", policy)


def test_a_page_without_charts_holds_no_chart_library(tmp_path):
    path = write_run_page(tmp_path)
    assert path.stat().st_size < 30_000
    assert len(Page(path).all("script")) == 1


def test_the_page_says_its_size(tmp_path):
    run_dir, _ = logged_run(tmp_path)
    path = write_run_page(run_dir)
    assert f"This page holds everything it shows ({path.stat().st_size / 2**20:.1f} MiB)" in path.read_text()


def test_loss_scores_and_speed_come_first_and_everything_else_is_folded(tmp_path):
    row = {
        "train/loss": 0.5,
        "train/steps_per_second": 6.0,
        "train/learning_rate": 1e-4,
        "eval/single_task/normalized_score_mean": 100.0,
        "eval/single_task/normalized_score_stderr": 2.0,
        "eval/single_task/latched_score_mean": 110.0,
        "eval/single_task/success_rate": 1.0,
        "epoch": 0.0,
    }
    record = RunRecord(run_dir=tmp_path, config={}, metrics={10: row, 20: row}, files={}, events=[])
    main, more = run_page(record).sections[0].blocks
    assert [figure.title for figure in main.figures] == [
        "Training loss (logarithmic)",
        "Single task: score over training",
        "Training steps per second",
    ]
    assert [figure.title for figure in more.figures] == ["eval/single_task/success_rate", "train/learning_rate"]
    (rows,) = (rows for rows in main.figures[1].spec["datasets"].values() if "curve" in rows[0])
    assert [(row["curve"], row["value"], row["low"], row["high"]) for row in rows[::2]] == [
        ("score", 100.0, 98.0, 102.0), ("latched score", 110.0, 110.0, 110.0),
    ]  # fmt: skip


def test_one_point_is_no_curve(tmp_path):
    record = RunRecord(run_dir=tmp_path, config={}, metrics={10: {"train/loss": 0.5}}, files={}, events=[])
    assert not run_page(record).sections[0].blocks


@pytest.mark.parametrize("broken", ["metrics.jsonl", "files.jsonl", "events.jsonl", "config.yaml"])
@pytest.mark.parametrize("damage", ["gone", "torn", "rubbish"])
def test_a_half_written_run_still_gets_a_page(tmp_path, broken, damage):
    run_dir, _ = logged_run(tmp_path)
    path = run_dir / broken
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(content[: -len(content) // 3] if damage == "torn" else b"\x00\xff[]{}\n\x80")
    page = Page(write_run_page(run_dir))
    assert page.all("h1")
    assert "finished" not in page.text


def test_missing_media_are_left_out(tmp_path):
    run_dir, _ = logged_run(tmp_path)
    for path in (run_dir / "media").rglob("*.*"):
        path.unlink()
    page = Page(write_run_page(run_dir))
    assert not page.all("img")
    assert not page.all("video")


def test_an_empty_folder_gets_a_page_that_says_so(tmp_path):
    assert "empty" in Page(write_run_page(tmp_path)).text


def test_a_run_that_failed_or_is_under_way_is_not_called_finished(tmp_path):
    run_dir, logger = logged_run(tmp_path)
    assert "running or interrupted" in Page(write_run_page(run_dir)).text
    logger.finalize("failed")
    assert "ended: failed" in Page(write_run_page(run_dir)).text


def test_a_resumed_run_lists_both_starts(tmp_path):
    run_dir, _ = logged_run(tmp_path)
    CsvLogger(run_dir).log_metrics({"train/loss": 0.1}, step=300)
    text = Page(write_run_page(run_dir)).text
    assert "Started" in text
    assert "Resumed" in text


def test_earlier_pictures_are_few_and_include_the_first(tmp_path):
    run_dir, _ = logged_run(tmp_path, steps=range(100, 2100, 100))
    steps = [attributes["alt"].split()[-1] for attributes in Page(write_run_page(run_dir)).all("img")]
    assert steps == ["2000", "100", "700", "1300", "1900"]


def test_the_page_can_be_made_again_with_the_same_result(tmp_path):
    run_dir, logger = logged_run(tmp_path)
    logger.finalize("success")
    first = write_run_page(run_dir).read_bytes()
    assert write_run_page(run_dir).read_bytes() == first


def test_a_folder_that_is_not_there_is_an_error_in_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match="run folder must exist"):
        write_run_page(tmp_path / "none")


def test_a_task_without_goal_has_its_pictures_and_nothing_of_a_goal(tmp_path):
    logger = CsvLogger(tmp_path / "run")
    numbers = {"normalized_score_mean": 88.0, "episode_length_mean": 871.6, "termination_rate": 0.24, "value_bias": 1.5}
    logger.log_metrics({f"eval/single_task/{key}": value for key, value in numbers.items()}, step=100)
    logger.log_table("eval/single_task/episodes", ["seed", "length", "terminated"], [[0, 872, False]], 100)
    for label in ("calibration", "imagined"):
        Image.new("RGB", (8, 6), "red").save(tmp_path / f"{label}.png")
        logger.log_media(f"eval/single_task/{label}", tmp_path / f"{label}.png", 100)
    page = Page(write_run_page(tmp_path / "run"))
    assert [picture["alt"] for picture in page.all("img")] == ["calibration at step 100", "imagined at step 100"]
    for text in ("episode length", "terminated", "24%", "critic's bias", "+1.5", "872", "False"):
        assert text in page.text
    for text in ("reached the goal", "steps to the goal", "latched"):
        assert text not in page.text
