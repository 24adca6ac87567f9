import os
import signal
from pathlib import Path

import pytest
import torch
from lightning import Callback

from diffplan.errors import CheckpointError
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
    assert [path.name for path in tmp_path.glob("*.*")] == ["last.ckpt"]


def test_accumulated_batches_of_one_step_save_once(fit, tmp_path):
    spy = Spy(tmp_path)
    fit(CheckpointCallback(str(tmp_path), every_n_steps=1), spy, max_steps=2, accumulate_grad_batches=2)
    assert spy.seen == [(0, None), (1, 1), (1, 1), (2, 2)]


def test_multiples_are_kept_beside_the_last(fit, tmp_path):
    fit(CheckpointCallback(str(tmp_path), every_n_steps=100, keep_every_n_steps=2), max_steps=5)
    assert sorted(path.name for path in tmp_path.glob("*.ckpt")) == ["last.ckpt", "step=2.ckpt", "step=4.ckpt"]
    assert torch.load(tmp_path / "step=2.ckpt", weights_only=True)["global_step"] == 2


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(fit, tmp_path):
    fit(CheckpointCallback(str(tmp_path), every_n_steps=2), max_steps=2)
    before = (tmp_path / "last.ckpt").read_bytes()
    (tmp_path / "last.tmp").mkdir()
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
