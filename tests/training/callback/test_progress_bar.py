import logging
import re
from types import SimpleNamespace

import pytest
from lightning import Callback, LightningModule, Trainer

from diffplan.training.callback import progress_bar
from diffplan.training.callback.progress_bar import ProgressBar


def test_the_bar_shows_the_loss_and_nothing_else(tmp_path):
    trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", default_root_dir=tmp_path)
    bar = ProgressBar()
    assert bar.get_metrics(trainer, LightningModule()) == {}
    trainer._logger_connector._progress_bar_metrics = {"train/loss": 0.25, "train/steps_per_second": 9.0}
    assert bar.get_metrics(trainer, LightningModule()) == {"loss": 0.25}


def lines(fit, caplog, monkeypatch, seconds_a_step: float, max_steps: int) -> list[str]:
    """What a training prints where there is no terminal."""
    clock = SimpleNamespace(monotonic=lambda: seconds_a_step * steps.step)
    steps = Steps()
    monkeypatch.setattr(progress_bar, "time", clock)
    with caplog.at_level(logging.INFO, logger=progress_bar.__name__):
        fit(steps, ProgressBar(), max_steps=max_steps, enable_progress_bar=True)
    return [record.message for record in caplog.records if record.name == progress_bar.__name__]


class Steps(Callback):
    """Counts the steps that are done."""

    step = 0

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.step = trainer.global_step


def test_without_a_terminal_lines_say_step_loss_speed_and_time_left(fit, caplog, monkeypatch):
    written = lines(fit, caplog, monkeypatch, seconds_a_step=4.0, max_steps=40)
    assert [line.split(",")[0] for line in written[:2]] == [
        "training: step 2 of 40 (5%)",
        "training: step 4 of 40 (10%)",
    ]
    assert len(written) == 20
    assert re.fullmatch(r"training: step 20 of 40 \(50%\), loss [\d.]+, 0.25 steps/s, 1:20 left", written[9])
    assert written[-1].endswith(", 0:00 left")


def test_lines_are_at_most_half_a_minute_and_at_least_two_seconds_apart(fit, caplog, monkeypatch):
    assert len(lines(fit, caplog, monkeypatch, seconds_a_step=0.05, max_steps=40)) == 1
    caplog.clear()
    slow = lines(fit, caplog, monkeypatch, seconds_a_step=31.0, max_steps=4)
    assert [line.split(",")[0][-4:] for line in slow] == ["25%)", "50%)", "75%)", "00%)"]


@pytest.mark.parametrize(("seconds", "text"), [(0.0, "0:00"), (59.6, "1:00"), (3599.0, "59:59"), (90061.0, "25:01:01")])
def test_durations_are_read_at_a_glance(seconds, text):
    assert progress_bar._duration(seconds) == text
