import json
import time

from lightning import Callback

from diffplan.callback.speed_monitor import SpeedMonitor
from diffplan.logger.csv_logger import CsvLogger


class Pause(Callback):
    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        time.sleep(0.05)


def rows(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if "train/steps_per_second" in row]


def test_speed_counts_wall_time_and_processor_time_apart(fit, tmp_path):
    fit(Pause(), SpeedMonitor(every_n_steps=2), max_steps=6, loggers=[CsvLogger(tmp_path)])
    measured = rows(tmp_path)
    assert [row["step"] for row in measured] == [1, 3, 5]
    for row in measured[1:]:
        assert 0.0 < row["train/steps_per_second"] < 1 / 0.05
        assert row["train/cpu_seconds_per_step"] > 0.0
        assert "train/gpu_memory_gib" not in row
    assert sum(row["train/cpu_seconds_per_step"] < 1 / row["train/steps_per_second"] for row in measured) >= 2


def test_batches_that_make_one_step_count_once(fit, tmp_path):
    fit(Pause(), SpeedMonitor(1), max_steps=4, accumulate_grad_batches=2, loggers=[CsvLogger(tmp_path)])
    assert all(row["train/steps_per_second"] < 1 / 0.1 for row in rows(tmp_path))
