import pytest

import diffplan
from diffplan.errors import TaskMismatchError
from diffplan.run.checkpoint import read_checkpoint
from diffplan.training.callback.checkpoint_callback import CheckpointCallback
from diffplan.training.callback.monitors import ProvenanceCallback


@pytest.fixture
def checkpoint(fit, tmp_path):
    fit(ProvenanceCallback({"seed": 0}), CheckpointCallback(str(tmp_path), 100), max_steps=2)
    return tmp_path / "last.ckpt"


def test_a_checkpoint_says_what_made_it(checkpoint):
    entry = read_checkpoint(checkpoint)["diffplan"]
    assert entry["config"] == {"seed": 0}
    assert entry["version"] == diffplan.__version__
    assert entry["data"]["kind"] == "regenerated"
    assert entry["data"]["num_transitions"] == 2000
    assert len(entry["data"]["sha256"]) == 64


def test_the_same_data_is_taken_up_again(fit, checkpoint):
    assert fit(ProvenanceCallback({"seed": 0}), max_steps=3, checkpoint=checkpoint).trainer.global_step == 3


def test_other_data_is_refused(fit, checkpoint):
    with pytest.raises(
        TaskMismatchError, match=r"the run was trained on maze2d-umaze-v1 with hash .* but the data is now"
    ):
        fit(ProvenanceCallback({}), max_steps=3, checkpoint=checkpoint, overrides=["source.seed=1"])
