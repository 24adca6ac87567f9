import os
import signal
from pathlib import Path

import pytest
import torch
from lightning import Callback

from diffplan.errors import CheckpointError, DivergenceError
from diffplan.tracking.csv_logger import CsvLogger
from diffplan.training.callback.checkpoint_callback import CheckpointCallback


class Spy(Callback):
    """Notes which checkpoint lies on disk after every batch, the steps it is of included."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.seen = []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        last = self.folder / "last.ckpt"
        step = torch.load(last, weights_only=True)["global_step"] if last.exists() else None
        self.seen.append((trainer.global_step, step))


class Signal(Callback):
    """Sends SIGTERM to the own process in the middle of one batch."""

    def __init__(self, batch_idx):
        self.batch_idx = batch_idx

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if batch_idx == self.batch_idx:
            os.kill(os.getpid(), signal.SIGTERM)


def weights(module):
    return {key: value.clone() for key, value in module.state_dict().items()}


def test_the_newest_checkpoint_lies_on_disk_for_callbacks_that_follow(fit, tmp_path):
    spy = Spy(tmp_path)
    fit(CheckpointCallback(str(tmp_path), every_n_steps=2), spy, max_steps=5)
    assert spy.seen == [(1, None), (2, 2), (3, 2), (4, 4), (5, 5)]
    assert sorted(path.name for path in tmp_path.glob("*.*")) == ["last.ckpt", "last.previous.ckpt"]


def test_accumulated_batches_of_one_step_save_once(fit, tmp_path):
    spy = Spy(tmp_path)
    fit(CheckpointCallback(str(tmp_path), every_n_steps=1), spy, max_steps=2, accumulate_grad_batches=2)
    assert spy.seen == [(0, None), (1, 1), (1, 1), (2, 2)]


def test_multiples_are_kept_beside_the_last(fit, tmp_path):
    fit(CheckpointCallback(str(tmp_path), every_n_steps=100, keep_every_n_steps=2), max_steps=5)
    assert sorted(path.name for path in tmp_path.glob("*.ckpt")) == [
        "last.ckpt",
        "last.previous.ckpt",
        "step=2.ckpt",
        "step=4.ckpt",
    ]
    assert torch.load(tmp_path / "step=2.ckpt", weights_only=True)["global_step"] == 2


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(fit, tmp_path):
    fit(CheckpointCallback(str(tmp_path), every_n_steps=2), max_steps=2)
    before = (tmp_path / "last.ckpt").read_bytes()
    (tmp_path / ".last.ckpt.partial").mkdir()
    with pytest.raises(CheckpointError, match=r"could not write a checkpoint at step 4 .* step 2 is untouched"):
        fit(CheckpointCallback(str(tmp_path), 2), max_steps=4, checkpoint=tmp_path / "last.ckpt")
    assert (tmp_path / "last.ckpt").read_bytes() == before


@pytest.mark.parametrize("batch_idx", [3, 4])
def test_a_stop_between_the_batches_of_a_step_changes_nothing(fit, tmp_path, batch_idx):
    """With three batches a step, the signal comes while gradients have been accumulated for one or two of them."""
    whole = fit(max_steps=4, accumulate_grad_batches=3)
    with pytest.raises(SystemExit) as stopped:
        fit(
            CheckpointCallback(str(tmp_path), every_n_steps=100),
            Signal(batch_idx),
            max_steps=4,
            accumulate_grad_batches=3,
        )
    assert stopped.value.code == 143
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 1
    assert any(gradient.any() for gradient in checkpoint["accumulated_gradients"][0].values())

    resumed = fit(
        CheckpointCallback(str(tmp_path), every_n_steps=100),
        max_steps=4,
        accumulate_grad_batches=3,
        checkpoint=tmp_path / "last.ckpt",
    )
    mine, theirs = weights(resumed.module), weights(whole.module)
    assert all(torch.equal(mine[key], theirs[key]) for key in theirs)


class Spoil(Callback):
    """Makes one weight infinite after a step, as a learning rate that is too high does."""

    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if trainer.global_step == self.step:
            next(module.backbone.parameters()).data.view(-1)[0] = float("inf")


@pytest.mark.parametrize(("every_n_steps", "noticed"), [(2, 4), (100, 4)])
def test_weights_that_are_not_finite_never_replace_a_good_checkpoint(fit, tmp_path, every_n_steps, noticed):
    """They are noticed at the next save, or at the next step that logs a loss which is not finite."""
    fit(CheckpointCallback(str(tmp_path), 2), max_steps=2)
    before = (tmp_path / "last.ckpt").read_bytes()
    with pytest.raises(
        DivergenceError, match=rf"at step {noticed}, backbone.* is not finite .* of step 2 is untouched"
    ):
        fit(
            Spoil(3),
            CheckpointCallback(str(tmp_path), every_n_steps),
            max_steps=8,
            checkpoint=tmp_path / "last.ckpt",
        )
    assert (tmp_path / "last.ckpt").read_bytes() == before


def test_the_checkpoint_before_the_newest_stays(fit, tmp_path):
    fit(CheckpointCallback(str(tmp_path), every_n_steps=2), max_steps=5)
    assert torch.load(tmp_path / "last.previous.ckpt", weights_only=True)["global_step"] == 4


class Die(Callback):
    """Ends the training right after the callbacks of a step, before Lightning writes its metrics."""

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if trainer.global_step == 4:
            raise KeyboardInterrupt


def test_the_metrics_of_a_step_are_written_before_its_checkpoint(fit, tmp_path):
    with pytest.raises(SystemExit):
        fit(CheckpointCallback(str(tmp_path), 4), Die(), max_steps=8, loggers=[CsvLogger(tmp_path)])
    fit(
        CheckpointCallback(str(tmp_path), 4),
        max_steps=8,
        loggers=[CsvLogger(tmp_path)],
        checkpoint=tmp_path / "last.ckpt",
    )
    rows = [line.partition(",")[0] for line in (tmp_path / "metrics.csv").read_text().splitlines()]
    assert rows == ["step", "1", "3", "5", "7"]
    # One line a row: Lightning writes the row of a saved step again, and it is taken once.
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 4


def test_checkpoints_do_not_pass_through_the_folder_for_temporary_files(fit, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    fit(CheckpointCallback(str(tmp_path), 100), max_steps=2)
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 2
