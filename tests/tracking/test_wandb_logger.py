import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import wandb
from PIL import Image

from diffplan.errors import ConfigError
from diffplan.run.result import RESULT_KEY, Result
from diffplan.tracking import wandb_process
from diffplan.tracking.wandb_logger import WandbLogger

API_KEY = "0123456789abcdef" * 2 + "01234567"


def small_logger(run_dir, **values):
    identity = {"name": "umaze-seed0", "group": "umaze", "job_type": "train", "tags": ["table1"]}
    return WandbLogger(project="diffplan", save_dir=run_dir, **{**identity, **values})


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def offline_dirs(run_dir):
    return sorted((run_dir / "wandb").glob("offline-run-*"))


def history(records):
    return [record["item"] for kind, record in records if kind == "history"]


def config_of(records):
    config = {}
    for kind, record in records:
        if kind in ("run", "config"):
            config |= (record["config"] if kind == "run" else record).get("update", {})
    return config


@pytest.fixture
def media(tmp_path):
    picture = tmp_path / "plans.png"
    Image.new("RGB", (8, 6), "red").save(picture)
    video = tmp_path / "video.mp4"
    video.write_bytes(b"\x00\x00\x00\x18ftypmp42 stands for a video; W&B copies it and does not look inside")
    return picture, video


def test_without_an_account_a_run_is_kept_offline_with_numbers_config_and_identity(tmp_path, clean_wandb, read_offline):
    run_dir = tmp_path / "run"
    logger = small_logger(run_dir)
    logger.log_config({"task": {"name": "maze2d-umaze-v1", "horizon": 128}}, {"task": "maze2d-umaze-v1", "seed": 0})
    logger.log_metrics({"train/loss": 0.5}, step=100)
    logger.log_metrics({"train/loss": 0.25}, step=200)
    logger.finalize("success")

    (folder,) = offline_dirs(run_dir)
    records = read_offline(folder)
    assert [(r["trainer/global_step"], r["train/loss"]) for r in history(records)] == [(100, 0.5), (200, 0.25)]
    run = next(record for kind, record in records if kind == "run")
    assert (run["project"], run["run_group"], run["job_type"], run["tags"]) == (
        "diffplan",
        "umaze",
        "train",
        ["table1"],
    )
    config = config_of(records)
    assert config["task"] == "maze2d-umaze-v1"
    assert config["cfg"]["task"]["horizon"] == 128
    assert any(kind == "metric" and record.get("step_metric") == "trainer/global_step" for kind, record in records)
    assert str(folder) in logger.where_to_look()
    assert f"wandb sync {run_dir}/wandb/*run-*-{logger.run_id}" in logger.where_to_look()


def test_pictures_videos_and_tables_lie_in_the_offline_run(tmp_path, clean_wandb, read_offline, media):
    logger = small_logger(tmp_path / "run")
    picture, video = media
    logger.log_media("eval/single_task/plans", picture, step=10)
    logger.log_media("eval/single_task/video", video, step=10)
    logger.log_table("eval/single_task/episodes", ["seed", "score"], [[0, 110.5], [1, float("nan")]], step=10)
    originals = [path.read_bytes() for path in media]
    for path in media:
        path.unlink()
    logger.finalize("success")

    (folder,) = offline_dirs(tmp_path / "run")
    rows = history(read_offline(folder))
    assert {row["trainer/global_step"] for row in rows} == {10}
    stored = [next((folder / "files" / "media").rglob(f"*{suffix}")).read_bytes() for suffix in (".png", ".mp4")]
    assert stored == originals
    (table,) = (folder / "files" / "media" / "table").rglob("*.json")
    assert '"data":[[0,110.5],[1,null]]' in table.read_text().replace(" ", "")


def test_a_page_of_charts_lies_in_the_offline_run_as_it_is(tmp_path, clean_wandb):
    (tmp_path / "charts.html").write_text("<h1>charts</h1>")
    logger = small_logger(tmp_path / "run")
    logger.log_page("schedulers/charts", tmp_path / "charts.html", step=10)
    logger.finalize("success")
    (folder,) = offline_dirs(tmp_path / "run")
    (page,) = (folder / "files" / "media" / "html").rglob("*.html")
    assert page.read_text() == "<h1>charts</h1>"


def test_a_resumed_run_keeps_its_id(tmp_path, clean_wandb):
    first = small_logger(tmp_path / "run")
    first.log_metrics({"train/loss": 1.0}, step=1)
    first.finalize("failed")
    second = small_logger(tmp_path / "run")
    second.log_metrics({"train/loss": 0.5}, step=2)
    second.finalize("success")
    assert first.run_id == second.run_id
    assert len(list((tmp_path / "run" / "wandb").glob(f"offline-run-*-{first.run_id}"))) >= 1


def test_two_jobs_in_one_process_are_two_runs(tmp_path, clean_wandb):
    loggers = [small_logger(tmp_path / name) for name in ("a", "b")]
    for logger in loggers:
        logger.log_metrics({"train/loss": 1.0}, step=1)
        logger.finalize("success")
    assert wandb.run is None
    assert loggers[0].run_id != loggers[1].run_id
    assert [len(offline_dirs(tmp_path / name)) for name in ("a", "b")] == [1, 1]


def test_a_run_left_open_by_a_crashed_job_does_not_keep_the_next_one_offline(tmp_path, wandb_server):
    small_logger(tmp_path / "crashed").log_metrics({"train/loss": 1.0}, step=1)
    logger = small_logger(tmp_path / "next")
    logger.log_metrics({"train/loss": 0.5}, step=1)
    logger.finalize("success")
    assert wandb_server.runs[logger.run_id]["exit_code"] == 0
    assert len(wandb_server.runs) == 2


def test_wandb_mode_offline_is_respected_with_an_account(tmp_path, wandb_server, clean_wandb):
    clean_wandb.setenv("WANDB_MODE", "offline")
    logger = small_logger(tmp_path / "run")
    logger.log_metrics({"train/loss": 1.0}, step=1)
    logger.finalize("success")
    assert offline_dirs(tmp_path / "run")
    assert wandb_server.runs == {}


def test_wandb_mode_disabled_writes_nothing(tmp_path, clean_wandb):
    clean_wandb.setenv("WANDB_MODE", "disabled")
    logger = small_logger(tmp_path / "run")
    logger.log_metrics({"train/loss": 1.0}, step=1)
    assert "switched off" in logger.where_to_look()
    logger.finalize("success")
    assert not list((tmp_path / "run").glob("wandb/*"))


def test_online_mode_without_an_account_stops_with_one_sentence(tmp_path, clean_wandb):
    logger = small_logger(tmp_path / "run", mode="online")
    with pytest.raises(ConfigError, match="wandb login"):
        logger.log_metrics({"train/loss": 1.0}, step=1)


def test_an_unknown_mode_is_refused_at_construction(tmp_path):
    with pytest.raises(ConfigError, match="auto, online or offline, got 'onlin'"):
        small_logger(tmp_path, mode="onlin")


def test_a_table_row_of_the_wrong_width_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="2 values"):
        small_logger(tmp_path).log_table("t", ["a", "b"], [[1]], step=0)


def test_media_of_another_kind_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"png, jpg or mp4.*notes\.txt"):
        small_logger(tmp_path).log_media("t", tmp_path / "notes.txt", step=0)


@pytest.mark.parametrize("where", ["environment", "netrc"])
def test_with_an_account_a_run_goes_online(tmp_path, wandb_server, clean_wandb, media, where):
    if where == "netrc":
        clean_wandb.delenv("WANDB_API_KEY")
        netrc = Path(os.environ["HOME"], ".netrc")
        netrc.write_text(f"machine {wandb_server.url.removeprefix('http://')}\n  login user\n  password {API_KEY}\n")
        netrc.chmod(0o600)
    logger = small_logger(tmp_path / "run")
    logger.log_config({"task": {"horizon": 128}}, {"task": "maze2d-umaze-v1", "seed": 0})
    logger.log_metrics({"train/loss": 0.5}, step=100)
    logger.log_media("eval/single_task/plans", media[0], step=100)
    assert logger.where_to_look().startswith(f"W&B: {wandb_server.url}/lab/diffplan/runs/{logger.run_id}")
    logger.finalize("success")

    run = wandb_server.runs[logger.run_id]
    assert (run["groupName"], run["jobType"], run["tags"]) == ("umaze", "train", ["table1"])
    assert run["config"]["cfg"]["value"] == {"task": {"horizon": 128}}
    assert [row["trainer/global_step"] for row in run["history"]] == [100, 100]
    assert run["exit_code"] == 0
    assert media[0].read_bytes() in wandb_server.files.values()


def test_a_result_can_be_read_back_from_the_server(tmp_path, wandb_server):
    logger = small_logger(tmp_path / "run")
    assert logger.wandb_identity() is None
    logger.log_metrics({"train/loss": 0.5}, step=100)
    identity = logger.wandb_identity()
    assert (identity.entity, identity.project, identity.run_id) == ("lab", "diffplan", logger.run_id)
    run = {"task": {"name": "maze2d-umaze-v1"}, "name": "one", "seed": 0, "ablation": "default"}
    result = Result.of_run(
        run, job="train", step=100, final=True, protocols={}, metrics={}, cost={}, data={}, environment={},
        checkpoint=None, wandb=identity,
    )  # fmt: skip
    logger.log_result(result)
    logger.finalize("success")
    assert Result.parse(wandb_server.runs[logger.run_id]["summary"][RESULT_KEY]) == result


def test_a_resumed_online_run_continues_the_same_history(tmp_path, wandb_server):
    for steps in ((1, 2), (2, 3)):
        logger = small_logger(tmp_path / "run")
        for step in steps:
            logger.log_metrics({"train/loss": 1 / step}, step=step)
        logger.finalize("success")
    (run,) = wandb_server.runs.values()
    assert [row["trainer/global_step"] for row in run["history"]] == [1, 2, 2, 3]
    assert [row["_step"] for row in run["history"]] == [0, 1, 2, 3]


@pytest.mark.slow  # waits for two time-outs of the W&B client
def test_an_unreachable_server_costs_a_bounded_wait_and_the_run_continues_offline(
    tmp_path, clean_wandb, read_offline, caplog
):
    clean_wandb.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{closed_port()}")
    clean_wandb.setenv("WANDB_API_KEY", API_KEY)
    logger = small_logger(tmp_path / "run", connect_timeout_seconds=3.0)
    begin = time.monotonic()
    with caplog.at_level(logging.WARNING):
        logger.log_metrics({"train/loss": 0.5}, step=100)
    assert time.monotonic() - begin < 3.0 + 15.0 + 7.0
    (warning,) = [record.getMessage() for record in caplog.records if "diffplan" in record.name]
    assert "OFFLINE" in warning
    assert f"wandb sync {tmp_path}/run/wandb/*run-*-{logger.run_id}" in warning
    logger.finalize("success")
    (folder,) = offline_dirs(tmp_path / "run")
    assert [row["train/loss"] for row in history(read_offline(folder))] == [0.5]


@pytest.mark.slow  # waits for the client to give up uploading
def test_a_server_that_dies_during_the_run_costs_a_bounded_wait_at_the_end(tmp_path, wandb_server, caplog):
    logger = small_logger(tmp_path / "run", finish_timeout_seconds=3.0)
    logger.log_metrics({"train/loss": 0.5}, step=100)
    wandb_server.stop()
    logger.log_metrics({"train/loss": 0.25}, step=200)
    begin = time.monotonic()
    with caplog.at_level(logging.WARNING):
        logger.finalize("success")
    assert time.monotonic() - begin < 20.0
    assert "wandb sync" in logger.where_to_look()
    assert any("training is not affected" in record.getMessage() for record in caplog.records)


@pytest.mark.slow  # starts a Python process of its own, which W&B's process belongs to
def test_training_goes_on_when_the_client_process_is_killed(tmp_path, clean_wandb):
    script = tmp_path / "train.py"
    script.write_text(
        """
import os, signal, subprocess, sys, time
from diffplan.run.result import RESULT_KEY
from diffplan.tracking.wandb_logger import WandbLogger
from diffplan.run.result import Result

logger = WandbLogger(project="diffplan", save_dir=sys.argv[1])
logger.log_metrics({"train/loss": 0.5}, step=100)
children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(os.getpid())], capture_output=True, text=True).stdout
for pid in children.split():
    try:
        os.kill(int(pid), signal.SIGKILL)
    except ProcessLookupError:
        pass  # ps itself
time.sleep(0.5)
for step in (200, 300):
    logger.log_metrics({"train/loss": 0.25}, step=step)
logger.finalize("success")
print("trained", logger.where_to_look())
"""
    )
    run = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "run")], capture_output=True, text=True, timeout=90
    )
    assert run.returncode == 0
    assert "trained W&B holds this run in part; upload the rest with: wandb sync" in run.stdout
    assert run.stderr.count("training is not affected") == 1
    assert "Traceback" not in run.stderr


@pytest.fixture
def impatient(monkeypatch):
    """Waits two seconds where a run waits a minute."""
    monkeypatch.setattr("diffplan.tracking.wandb_logger.PATIENCE_SECONDS", 2.0)
    monkeypatch.setattr("diffplan.tracking.wandb_process._TEARDOWN_SECONDS", 1.0)


@pytest.mark.parametrize("num_rows", [1, 300])
def test_a_frozen_client_process_costs_a_bounded_wait_and_is_killed(tmp_path, clean_wandb, impatient, caplog, num_rows):
    """A few rows fit into what the process has not read yet, so that its silence is noticed at the end only."""
    logger = small_logger(tmp_path / "run")
    logger.log_metrics({"train/loss": 0.5}, step=100)
    process = wandb_process._process()
    os.kill(process.pid, signal.SIGSTOP)
    begin = time.monotonic()
    with caplog.at_level(logging.WARNING, logger="diffplan"):
        for step in range(num_rows):
            logger.log_metrics({f"train/{number}": 0.5 for number in range(20)}, step)
        logger.finalize("success")
    assert time.monotonic() - begin < 10.0
    assert process.poll() == -signal.SIGKILL
    assert "upload the rest with: wandb sync" in logger.where_to_look()
    assert sum("training is not affected" in record.getMessage() for record in caplog.records) == 1


def test_what_w_and_b_could_not_take_without_its_temporary_folder_is_counted(
    tmp_path, clean_wandb, caplog, monkeypatch
):
    logger = small_logger(tmp_path / "run")
    logger.log_metrics({"train/loss": 0.5}, step=100)
    gone = SimpleNamespace(name=str(tmp_path / "gone"))
    clean_wandb.setattr("wandb.sdk.data_types._private.MEDIA_TMP", gone)
    clean_wandb.setattr("wandb.sdk.data_types.table.MEDIA_TMP", gone, raising=False)
    with caplog.at_level(logging.WARNING, logger="diffplan"):
        for step in (200, 300):
            logger.log_table("eval/episodes", ["seed"], [[1]], step)
    logger.log_metrics({"train/loss": 0.25}, step=400)
    logger.finalize("success")
    assert logger.where_to_look().endswith("(2 of what was logged is missing there)")
    assert sum("does not take all" in record.getMessage() for record in caplog.records) == 1


def test_a_folder_that_was_removed_is_said_to_be_lost(tmp_path, clean_wandb):
    logger = small_logger(tmp_path / "run")
    logger.log_metrics({"train/loss": 0.5}, step=100)
    for _ in range(2):
        shutil.rmtree(tmp_path / "run" / "wandb", ignore_errors=True)
    logger.finalize("success")
    assert "folder has been removed" in logger.where_to_look()
