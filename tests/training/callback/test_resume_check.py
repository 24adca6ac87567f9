"""A checkpoint that is not complete is refused before anything of it is used; see tests/faults for many more."""

import pytest
import torch

from diffplan.errors import CheckpointError
from diffplan.run.checkpoint import read_checkpoint
from diffplan.training.callback.checkpoint_callback import CheckpointCallback
from diffplan.training.callback.monitors import ProvenanceCallback, RandomState, SpeedMonitor
from diffplan.training.callback.resume_check import ResumeCheck


@pytest.fixture
def train(fit, tmp_path):
    """Trains to a step, from a checkpoint if one is given, with the callbacks of a run."""

    def run(max_steps, content=None):
        path = tmp_path / "last.ckpt"
        resume = [] if content is None else [ResumeCheck(path, content)]
        callbacks = [RandomState(), SpeedMonitor(2), CheckpointCallback(str(tmp_path), 2), ProvenanceCallback({})]
        start = None if content is None else path
        fit(*callbacks, *resume, max_steps=max_steps, checkpoint=start, accumulate_grad_batches=2)
        return torch.load(path, weights_only=True)

    return run


def test_a_whole_checkpoint_is_continued_again_and_again(train):
    content = train(2)
    for step in (3, 4, 5):
        content = train(step, content)
        assert content["global_step"] == step


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda c: c.update(optimizer_states=[]), "optimizer_states does not have one element"),
        (lambda c: c["optimizer_states"][0]["state"].pop(3), "not one state for each parameter"),
        (lambda c: c["optimizer_states"][0]["state"][0].update(exp_avg=torch.zeros(2)), r"has the shape \[2\]"),
        (lambda c: c["optimizer_states"][0]["state"][0].update(step=torch.tensor(3.0)), "of step 3 and not of step 2"),
        (lambda c: c["optimizer_states"][0]["param_groups"][0].update(eps=1.0), "eps=1.0 where the settings say"),
        (lambda c: c.update(lr_schedulers=[{}]), "schedule is not complete"),
        (lambda c: c.pop("loops"), "entry loops is missing"),
        (lambda c: c.update(global_step=7), "contradicts its global_step 7"),
        (lambda c: c["callbacks"]["RandomState"]["processes"][0]["numpy"].__setitem__(2, 10**6), "random generators"),
        (lambda c: c["state_dict"].popitem(), "others are missing in its weights"),
        (lambda c: next(iter(c["state_dict"].values())).fill_(torch.nan), "of its weights is not finite"),
    ],
)
def test_what_is_missing_or_contradicts_is_named_with_the_way_out(train, tmp_path, damage, reason):
    content = train(2)
    damage(content)
    with pytest.raises(CheckpointError, match=rf"last.ckpt cannot be continued: .*{reason}.*to train from the beg"):
        train(4, content)


def test_the_checkpoint_before_the_newest_is_the_way_out(train, tmp_path):
    content = train(4)
    content["loops"] = {}
    with pytest.raises(CheckpointError, match=r"rename \S*last.previous.ckpt to last.ckpt and rerun"):
        train(6, content)
    (tmp_path / "last.previous.ckpt").rename(tmp_path / "last.ckpt")
    assert train(6, read_checkpoint(tmp_path / "last.ckpt"))["global_step"] == 6
