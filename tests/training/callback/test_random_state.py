import random

import numpy as np
import torch
from lightning import Callback

from diffplan.training.callback.checkpoint_callback import CheckpointCallback
from diffplan.training.callback.monitors import RandomState


class Draws(Callback):
    """Draws from every global generator at every batch, as a user's own code might."""

    def __init__(self):
        self.numbers = []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.numbers.append((torch.rand(()).item(), float(np.random.normal()), random.gauss(0.0, 1.0)))


def test_a_resumed_run_draws_what_the_uninterrupted_one_drew(fit, tmp_path):
    whole, first, second = Draws(), Draws(), Draws()
    fit(RandomState(), whole, max_steps=7)
    fit(RandomState(), CheckpointCallback(str(tmp_path), 100), first, max_steps=3)
    fit(RandomState(), second, max_steps=7, checkpoint=tmp_path / "last.ckpt")
    assert len(set(whole.numbers)) == 7
    assert first.numbers + second.numbers == whole.numbers


def test_without_it_the_draws_start_again(fit, tmp_path):
    whole, second = Draws(), Draws()
    fit(whole, max_steps=5)
    fit(CheckpointCallback(str(tmp_path), 100), Draws(), max_steps=3)
    fit(second, max_steps=5, checkpoint=tmp_path / "last.ckpt")
    assert second.numbers == whole.numbers[:2]


def test_the_state_survives_the_safe_loader(fit, tmp_path):
    fit(RandomState(), CheckpointCallback(str(tmp_path), 100), max_steps=1)
    (state,) = torch.load(tmp_path / "last.ckpt", weights_only=True)["callbacks"]["RandomState"]["processes"]
    assert state.keys() == {"torch", "cuda", "numpy", "python"}
