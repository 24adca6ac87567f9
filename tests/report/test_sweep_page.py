import base64
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from diffplan.report.picture.media_files import write_video
from diffplan.report.results import FoundResults, RunSelection, read_results
from diffplan.report.sweep_content import SweepContent, UnfinishedRun
from diffplan.report.sweep_page import write_sweep_page
from diffplan.tracking.csv_logger import CsvLogger
from tests.report.conftest import Page, make_episodes, make_result, stored, write_result

HOSTILE = '<script>alert("1")</script><img src=x onerror=alert(2)>\'"&'
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


def leave_run(folder, dim, seed, media=True, name="quick", **facts):
    """A run's folder as training leaves it: result, log, pictures and its own page."""
    run_dir = folder / name / f"dim{dim}-seed{seed}"
    ablation = "default" if dim == 32 else f"backbone.dim={dim}"
    protocols = {"single_task": make_episodes([dim + seed, dim + 5.0], gflop=dim / 10)}
    result = make_result(
        seed, settings={"backbone.dim": dim}, ablation=ablation, protocols=protocols, name=name, **facts
    )
    if media:
        logger = CsvLogger(run_dir)
        logger.log_config({}, {"name": name})
        Image.new("RGB", (8, 6), "red").save(folder / "plans.png")
        write_video(np.zeros((3, 16, 16, 3), np.uint8), folder / "video.mp4", fps=10)
        for step in (50, 100):
            logger.log_metrics({"train/loss": 1.0 / step, "eval/single_task/normalized_score_mean": dim + step}, step)
        logger.log_media("eval/single_task/plans", folder / "plans.png", 100)
        logger.log_media("eval/single_task/video", folder / "video.mp4", 100)
        (run_dir / "index.html").write_text("its own page")
    write_result(result, run_dir)
    return run_dir


@pytest.fixture
def sweep(tmp_path):
    for dim in (8, 32):
        for seed in (0, 1):
            leave_run(tmp_path, dim, seed)
    return tmp_path


def write(folder, max_bytes=10**7, unfinished=(), place="page.html"):
    content = SweepContent.of(read_results(folder), RunSelection(), unfinished)
    (folder / place).parent.mkdir(exist_ok=True)
    size = write_sweep_page(content, folder / place, "diffplan-dashboard to=page.html", max_bytes)
    assert size == (folder / place).stat().st_size
    return folder / place


def test_the_page_shows_table_plots_curves_media_and_how_it_was_made(sweep):
    page = Page(write(sweep))
    for text in ("maze2d-umaze-v1, Single task", "4 finished runs", "10.8", "2 x 2", "baseline", "torch 2.13.0",
                 "diffplan-dashboard to=page.html", "Score over training", "Training loss"):  # fmt: skip
        assert text in page.text
    assert [chart["description"] for chart in page.charts] == [
        "Score against backbone.dim", "Score against the cost of a decision", "Score over training",
        "Training loss (logarithmic)",
    ]  # fmt: skip
    assert len(page.all("img")) == len(page.all("video")) == 2
    (first, _) = page.all("img")
    assert base64.b64decode(first["src"].removeprefix("data:image/png;base64,")) == (sweep / "plans.png").read_bytes()


def test_pictures_tables_and_plots_can_be_read_out(sweep):
    page = Page(write(sweep))
    assert [picture["alt"] for picture in page.all("img")] == [
        "plans backbone.dim=8, seed 0 at step 100", "plans backbone.dim=32, seed 0 at step 100",
    ]  # fmt: skip
    assert all(video["aria-label"] for video in page.all("video"))
    assert all(head["scope"] == "col" for head in page.all("th"))
    assert page.all("html")[0]["lang"] == "en"


def test_the_page_fetches_nothing_and_runs_only_its_own_script(sweep):
    path = write(sweep)
    page = Page(path)
    assert all(a["src"].startswith("data:") for tag, a in page.tags if "src" in a)
    assert not page.all("link")
    outside = re.sub(r"<script.*?</script>", "", path.read_text(), flags=re.DOTALL)
    assert not re.search(r"url\(|@import|fetch\(|https?://", outside)
    (policy,) = [a["content"] for a in page.all("meta") if "http-equiv" in a]
    assert policy.startswith("default-src 'none'")
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/=]{44}' 'sha256-[A-Za-z0-9+/=]{44}'$", policy)
    assert len([a for a in page.all("script") if "type" not in a]) == 2
    assert all("url" not in chart.get("data", {}) for chart in page.charts)


def test_runs_are_linked_from_wherever_the_page_lies(sweep):
    links = [a["href"] for a in Page(write(sweep, place="pages/page.html")).all("a")]
    assert len(links) == 4
    assert all((sweep / "pages" / link).read_text() == "its own page" for link in links)


def test_runs_that_only_w_and_b_has_are_linked_there(tmp_path):
    runs = [stored(seed=seed, source=f"https://wandb.ai/lab/diffplan/runs/{seed}") for seed in (0, 1)]
    content = SweepContent.of(FoundResults(runs, []), RunSelection())
    write_sweep_page(content, tmp_path / "page.html", "diffplan-dashboard", 0)
    page = Page(tmp_path / "page.html")
    assert {a["href"] for a in page.all("a")} == {
        "https://wandb.ai/lab/diffplan/runs/0",
        "https://wandb.ai/lab/diffplan/runs/1",
    }
    assert "none lie beside these results" in page.text


def test_what_comes_from_runs_is_shown_as_text(tmp_path):
    for dim in (8, 16):
        leave_run(tmp_path, dim, 0, media=False, versions={"torch": HOSTILE})
        result = make_result(
            settings={"backbone.dim": dim, "loss._target_": f"d.{HOSTILE}{dim}"}, ablation=f"a={HOSTILE}"
        )
        write_result(result.model_copy(update={"name": HOSTILE}), tmp_path / f"hostile{dim}")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "results.json").write_text(f'{{"schema_version": "{HOSTILE[:8]}"}}')
    page = Page(write(tmp_path, unfinished=[UnfinishedRun(tmp_path / HOSTILE, HOSTILE, HOSTILE)]))
    assert len([a for a in page.all("script") if "type" not in a]) == 2
    assert not page.all("img")
    assert all("onerror" not in attributes for _, attributes in page.tags)
    assert page.text.count("alert(2)") >= 5


def test_what_is_missing_is_said_and_nothing_is_dropped(tmp_path):
    leave_run(tmp_path, 8, 0, media=False)
    leave_run(tmp_path, 32, 0, media=False)
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "results.json").write_text('{"schema_version": 1, "jo')
    text = Page(write(tmp_path, unfinished=[UnfinishedRun(tmp_path / "x", "dim 64", "out of memory")])).text
    for part in ("Pictures and videos: none lie beside these results", "because these runs were evaluated once",
                 "dim 64: out of memory", "half/results.json: broken", "1 without a result",
                 "1 file skipped"):  # fmt: skip
        assert part in text


def test_a_sweep_without_any_result_has_a_page_that_names_its_runs(tmp_path):
    text = Page(write(tmp_path, unfinished=[UnfinishedRun(tmp_path / "x", "dim 64", "not begun")])).text
    assert "nothing to plot yet" in text
    assert "dim 64: not begun" in text


def test_media_beyond_the_limit_are_named_and_linked(sweep):
    page = Page(write(sweep, max_bytes=(sweep / "plans.png").stat().st_size * 3))
    assert len(page.all("img")) == 2
    assert not page.all("video")
    assert page.text.count("left out to keep the page small") == 2
    assert len(page.all("a")) == 4 + 2


def test_the_page_can_be_made_again_with_the_same_result(sweep):
    first = write(sweep).read_bytes()
    assert write(sweep).read_bytes() == first


def open_in_chromium(path, width):
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"]
    command = [
        CHROMIUM,
        *flags,
        f"--window-size={width},900",
        f"--user-data-dir={path.parent / 'profile'}",
        "--virtual-time-budget=8000",
        path.as_uri(),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
@needs_chromium
def test_a_browser_opens_the_page_without_an_error(sweep):
    opened = open_in_chromium(write(sweep), 1280)
    assert "</html>" in opened.stdout
    assert "CONSOLE" not in opened.stderr
    # The first chart is in view, so the page's own scripts have drawn it under the page's policy.
    assert 'class="marks"' in opened.stdout


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(sweep, width):
    leave_run(sweep, 64, 0, media=False, name="a_name_that_is_far_too_long_for_the_small_window_of_a_phone" * 3)
    page = write(sweep)
    measure = "<script>document.body.dataset.wide = document.documentElement.scrollWidth - window.innerWidth</script>"
    # The page lets no other script run, so the copy that is measured is without its policy.
    text = re.sub(r"<meta http-equiv[^>]*>", "", page.read_text()).replace("</body>", f"{measure}</body>")
    page.write_text(text)
    found = re.search(r'data-wide="(-?\d+)"', open_in_chromium(page, width).stdout)
    assert int(found.group(1)) <= 0
