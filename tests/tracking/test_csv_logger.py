import csv
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from diffplan.errors import ConfigError
from diffplan.report.run_record import RunRecord, read_table
from diffplan.tracking import csv_logger
from diffplan.tracking.csv_logger import CsvLogger


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_metrics_of_one_step_become_one_row_of_the_table(tmp_path):
    logger = CsvLogger(tmp_path)
    logger.log_metrics({"train/loss": 0.5}, step=100)
    logger.log_metrics({"eval/single_task/return_mean": 12.0}, step=100)
    logger.log_metrics({"train/loss": 0.25}, step=200)
    logger.finalize("success")
    assert rows_of(tmp_path / "metrics.csv") == [
        ["step", "eval/single_task/return_mean", "train/loss"],
        ["100", "12.0", "0.5"],
        ["200", "", "0.25"],
    ]


def test_a_resumed_run_keeps_the_old_rows_and_overwrites_repeated_steps(tmp_path):
    for offset, steps in ((0.0, (100, 200, 300)), (0.5, (300, 400))):
        logger = CsvLogger(tmp_path)
        for step in steps:
            logger.log_metrics({"train/loss": step + offset}, step=step)
        logger.finalize("success")
    record = RunRecord.read(tmp_path)
    assert record.series("train/loss") == ([100, 200, 300, 400], [100.0, 200.0, 300.5, 400.5])
    assert [event["event"] for event in record.events] == ["start", "finish", "start", "finish"]


def test_a_torn_tail_costs_one_line_and_the_resumed_run_goes_on(tmp_path):
    logger = CsvLogger(tmp_path)
    for step in (100, 200):
        logger.log_metrics({"train/loss": 1.0}, step=step)
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(path.read_bytes()[:-7])
    resumed = CsvLogger(tmp_path)
    resumed.log_metrics({"train/loss": 2.0}, step=300)
    resumed.finalize("success")
    assert RunRecord.read(tmp_path).series("train/loss") == ([100, 300], [1.0, 2.0])


@pytest.mark.slow  # starts a Python process of its own
def test_everything_logged_before_a_kill_is_there(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(
        "import sys, time\n"
        "from diffplan.tracking.csv_logger import CsvLogger\n"
        "logger = CsvLogger(sys.argv[1])\n"
        "for step in range(50):\n"
        "    logger.log_metrics({'train/loss': float(step)}, step=step)\n"
        "print('logged', flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, str(script), str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "logged\n"
        os.kill(process.pid, signal.SIGKILL)
    assert RunRecord.read(tmp_path / "run").series("train/loss")[0] == list(range(50))


def test_values_that_are_not_finite_are_kept_as_no_value(tmp_path):
    logger = CsvLogger(tmp_path)
    logger.log_metrics({"a": float("nan"), "b": float("inf"), "c": torch.tensor(2.0), "d": np.float32(3)}, step=1)
    row = RunRecord.read(tmp_path).metrics[1]
    assert np.isnan(row["a"])
    assert np.isnan(row["b"])
    assert (row["c"], row["d"]) == (2.0, 3.0)


def test_config_and_groups_can_be_read_back(tmp_path):
    logger = CsvLogger(tmp_path)
    config = {"task": {"name": "maze2d-umaze-v1", "target": (1.0, 1.0)}, "seed": 0, "note": "<b>ä</b>"}
    logger.log_config(config, {"task": "maze2d-umaze-v1", "seed": 0})
    record = RunRecord.read(tmp_path)
    assert record.config == {**config, "task": {"name": "maze2d-umaze-v1", "target": [1.0, 1.0]}}
    assert record.groups == {"task": "maze2d-umaze-v1", "seed": 0}
    assert "torch" in record.events[0]["versions"]


def test_hyperparameters_of_modules_do_not_touch_the_config(tmp_path):
    logger = CsvLogger(tmp_path)
    logger.log_config({"seed": 1}, {})
    logger.log_hyperparams({"horizon": 128, "net": torch.nn.Identity()})
    assert yaml.safe_load((tmp_path / "config.yaml").read_text()) == {"seed": 1}
    assert yaml.safe_load((tmp_path / "hyperparameters.yaml").read_text())["horizon"] == 128


def test_media_are_copied_into_the_run_folder(tmp_path):
    picture = tmp_path / "elsewhere.png"
    Image.new("RGB", (4, 4)).save(picture)
    content = picture.read_bytes()
    logger = CsvLogger(tmp_path / "run")
    logger.log_media("eval/single_task/plans", picture, step=7)
    picture.unlink()
    file = RunRecord.read(tmp_path / "run").latest_file("eval/single_task/plans")
    assert file.step == 7
    assert file.path.read_bytes() == content
    assert file.path.is_relative_to(tmp_path / "run" / "media")


def test_a_key_cannot_lead_out_of_the_run_folder(tmp_path):
    picture = tmp_path / "p.png"
    Image.new("RGB", (4, 4)).save(picture)
    CsvLogger(tmp_path / "run").log_media("../../up", picture, step=0)
    assert {path.name for path in tmp_path.iterdir()} == {"p.png", "run"}


def test_media_of_another_kind_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"png, jpg or mp4.*notes\.txt"):
        CsvLogger(tmp_path).log_media("t", tmp_path / "notes.txt", step=0)


def test_a_table_reads_back(tmp_path):
    logger = CsvLogger(tmp_path)
    logger.log_table("eval/single_task/episodes", ["seed", "score"], [[0, 1.5], [1, None]], step=3)
    file = RunRecord.read(tmp_path).latest_file("eval/single_task/episodes")
    assert read_table(file.path).to_dict("list") == {"seed": ["0", "1"], "score": ["1.5", ""]}


def test_a_table_row_of_the_wrong_width_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="2 values"):
        CsvLogger(tmp_path).log_table("t", ["a", "b"], [[1]], step=0)


def test_building_a_logger_writes_nothing(tmp_path):
    CsvLogger(tmp_path / "run").finalize("success")
    assert not (tmp_path / "run").exists()


def test_where_to_look_names_the_page_once_it_exists(tmp_path):
    logger = CsvLogger(tmp_path)
    assert str(tmp_path) in logger.where_to_look()
    (tmp_path / "index.html").write_text("page")
    assert logger.where_to_look() == f"Open {tmp_path / 'index.html'}"


def test_many_log_calls_within_a_moment_rewrite_the_table_once(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(csv_logger.time, "monotonic", lambda: now[0])
    logger = CsvLogger(tmp_path)
    versions = set()
    for step in range(200):
        logger.log_metrics({"train/loss": 1.0}, step=step)
        logger.save()
        versions.add((tmp_path / "metrics.csv").stat().st_ino)
    assert len(versions) == 1
    now[0] += 3600.0
    logger.save()
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 201
