import os
import signal

import pytest
from lightning import Callback

from diffplan.tracking.csv_logger import CsvLogger
from diffplan.training.callback.checkpoint_callback import CheckpointCallback


class Signal(Callback):
    """Sends SIGTERM to the own process in the middle of the first batch."""

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(("job", "endings"), [("7", ["stopped", "failed"]), (None, ["failed"])])
def test_a_job_ends_its_loggers_before_it_goes_back_into_the_queue(fit, tmp_path, monkeypatch, job, endings):
    """The machine's own SLURM knows no such job, if there is one at all."""
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    if job is not None:
        monkeypatch.setenv("SLURM_JOB_ID", job)
    seen = []
    logger = CsvLogger(tmp_path)
    monkeypatch.setattr(logger, "finalize", seen.append)
    with pytest.raises(SystemExit) as stopped:
        fit(CheckpointCallback(str(tmp_path), every_n_steps=100), Signal(), loggers=[logger])
    assert stopped.value.code == 143
    assert seen == endings
