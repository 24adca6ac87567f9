import json
from types import SimpleNamespace

import pytest
from lightning import Callback

from diffplan.tracking.csv_logger import CsvLogger
from diffplan.training.callback import monitors as speed_monitor
from diffplan.training.callback.checkpoint_callback import CheckpointCallback
from diffplan.training.callback.monitors import SpeedMonitor


class Clock(Callback):
    """Every batch takes half a second, a tenth of it on the processor."""

    def __init__(self):
        self.batches = 0

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.batches += 1


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(
        speed_monitor,
        "time",
        SimpleNamespace(perf_counter=lambda: 7 + 0.5 * clock.batches, process_time=lambda: 3 + 0.05 * clock.batches),
    )
    return clock


def rows(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if "train/steps_per_second" in row]


def test_speed_counts_wall_time_and_processor_time_apart(fit, clock, tmp_path):
    fit(clock, SpeedMonitor(every_n_steps=2), max_steps=6, loggers=[CsvLogger(tmp_path)])
    measured = rows(tmp_path)
    assert [row["step"] for row in measured] == [1, 3, 5]
    for row in measured:
        assert row["train/steps_per_second"] == pytest.approx(2.0)
        assert row["train/cpu_seconds_per_step"] == pytest.approx(0.05)
        assert "train/gpu_memory_gib" not in row


def test_batches_that_make_one_step_count_once(fit, clock, tmp_path):
    fit(clock, SpeedMonitor(1), max_steps=4, accumulate_grad_batches=2, loggers=[CsvLogger(tmp_path)])
    assert [row["train/steps_per_second"] for row in rows(tmp_path)] == pytest.approx([1.0, 1.0])


def test_what_training_cost_adds_up_over_a_stop(fit, clock, tmp_path):
    before, after = SpeedMonitor(1), SpeedMonitor(1)
    fit(clock, before, max_steps=4)
    assert before.state_dict() == pytest.approx({"seconds": 2.0, "cpu_seconds": 0.2})
    after.load_state_dict(before.state_dict())
    clock.batches = 0
    fit(clock, after, max_steps=2)
    assert after.state_dict() == pytest.approx({"seconds": 3.0, "cpu_seconds": 0.3})


def test_a_run_resumed_between_two_rows_logs_its_speed_in_all_that_follow(fit, clock, tmp_path):
    fit(clock, SpeedMonitor(2), CheckpointCallback(str(tmp_path), 100), max_steps=3)
    resumed = {"max_steps": 6, "loggers": [CsvLogger(tmp_path)], "checkpoint": tmp_path / "last.ckpt"}
    fit(clock, SpeedMonitor(2), **resumed)
    assert [row["step"] for row in rows(tmp_path)] == [3, 5]
