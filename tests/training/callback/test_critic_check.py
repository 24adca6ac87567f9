"""A small critic, trained in this process with episodes held out, interrupted and continued."""

import json
import os
from functools import partial
from types import SimpleNamespace

import lightning
import pytest
import torch

from diffplan.config.stages import check_stages
from diffplan.data.datamodule import TrajectoryDataModule
from diffplan.data.held_out import HeldOutDataModule
from diffplan.errors import ConfigError
from diffplan.method.average import ExponentialMovingAverage
from diffplan.run import stop_signal
from diffplan.run.folder import RunDir
from diffplan.tracking.csv_logger import CsvLogger
from diffplan.tracking.evaluation_recorder import ResultRecorder
from diffplan.training import stages
from diffplan.training.callback.checkpoint_callback import CheckpointCallback
from diffplan.training.callback.critic_check import CriticCheckCallback
from diffplan.training.callback.monitors import ProvenanceCallback
from diffplan.training.modules import Stage, StageLogger
from tests.test_conf import composed
from tests.training.module.test_value_module import RewardedSource, value_module

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*in eval mode at the start of training.*"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated:FutureWarning"),
]
STEPS, HELD_OUT = 24, 0.3


class KilledError(Exception):
    pass


class Kill(lightning.Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.step:
            raise KilledError


class Watch(lightning.Callback):
    """Notes what every check found, and which episodes training saw."""

    def __init__(self) -> None:
        self.r2, self.speeds = {}, set()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.speeds |= {round(float(speed), 3) for speed in batch.trajectories[:, 0, 0].unique()}


@pytest.fixture
def train(tmp_path, monkeypatch):
    def run(name: str, kill_at: int | None = None, keep_best: bool = True, accumulate: int = 1) -> SimpleNamespace:
        monkeypatch.setattr(stop_signal, "_process", stop_signal._Process(os.getpid()))
        folder = tmp_path / name
        # Steps so large that the error rises and falls.
        module = value_module(
            optimizer=partial(torch.optim.Adam, lr=0.05),
            average=partial(ExponentialMovingAverage, decay=0.1, update_every=1, start_step=1),
        )
        if keep_best:
            module.keep_best()
        data = TrajectoryDataModule(
            RewardedSource(), module.normalizer, 1, 2, 8, 1, batch_size=16, seed=0, returns=module.fresh.target
        )
        run_logger, watch = CsvLogger(folder), Watch()
        recorder = ResultRecorder(RunDir(folder), "train", {}, dict, folder / "last.ckpt", None, [])
        check = CriticCheckCallback(5, str(folder / "evaluation"), Stage(None, recorder, False))
        config = {"critic": {"held_out": HELD_OUT, "check_every_n_steps": 5}}
        callbacks = [check, CheckpointCallback(str(folder), 3), ProvenanceCallback(config), watch]
        trainer = lightning.Trainer(
            accelerator="cpu", max_steps=STEPS, max_epochs=-1, logger=[StageLogger(run_logger)],
            callbacks=[*callbacks, *([] if kill_at is None else [Kill(kill_at)])], accumulate_grad_batches=accumulate,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, log_every_n_steps=3,
        )  # fmt: skip
        path = folder / "critic.ckpt"
        trainer.fit(module, HeldOutDataModule(data, HELD_OUT), ckpt_path=path if path.exists() else None)
        return SimpleNamespace(module=module, folder=folder, trainer=trainer, watch=watch, notes=recorder.notes)

    return run


def rows(folder) -> dict[int, dict[str, float]]:
    merged: dict[int, dict[str, float]] = {}
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        merged.setdefault(row["step"], {}).update({key: row[key] for key in row if key.startswith("critic/held_out")})
    return merged


def test_the_weights_of_the_best_check_are_kept_and_not_the_last(train):
    run = train("whole")
    r2 = {step: row["critic/held_out_r2_mean"] for step, row in rows(run.folder).items() if row}
    assert sorted(r2) == [5, 10, 15, 20, 24]
    best = max(r2, key=lambda step: r2[step])
    assert best != 24, "the settings of this test must have the error rise at the end"
    assert run.module.quality.step == best
    assert run.module.quality.mean_r2 == r2[best] == run.module.critic().quality.mean_r2
    kept, newest = run.module.critic().backbone.state_dict(), run.module.newest_critic().backbone.state_dict()
    assert any(not torch.equal(kept[key], newest[key]) for key in kept)


def test_without_keep_best_the_last_weights_are_kept_and_described(train):
    run = train("last", keep_best=False)
    assert run.module.quality.step == STEPS
    assert run.module.critic().backbone is run.module.newest_critic().backbone
    assert not any(name.startswith("kept") for name in run.module.state_dict())


@pytest.mark.parametrize("kill_at", [7, 11, 20])
def test_a_killed_and_resumed_training_keeps_the_same_weights(train, kill_at):
    whole = train("whole", accumulate=2)
    with pytest.raises(KilledError):
        train("killed", kill_at=kill_at, accumulate=2)
    resumed = train("killed", accumulate=2)
    ours, theirs = resumed.module.state_dict(), whole.module.state_dict()
    assert any(name.startswith("kept") for name in ours)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert resumed.module.quality == whole.module.quality
    assert rows(resumed.folder) == rows(whole.folder)


def test_held_out_episodes_are_never_in_a_training_batch(train):
    """The action of an episode is its speed, the same at every row."""
    run = train("whole")
    data = run.trainer.datamodule
    held_out = {round(float(speed), 3) for speed in data.held_out.gather(torch.arange(66))[0][:, 0, 0].unique()}
    assert len(held_out) == 2
    assert len(run.watch.speeds) == 6
    assert run.watch.speeds & held_out == set()


def test_the_end_leaves_a_picture_a_table_and_a_warning(train, caplog):
    run = train("whole")
    assert (run.folder / "media" / "critic" / "calibration_000000024.png").stat().st_size > 10_000
    table = (run.folder / "tables" / "critic" / "held_out_levels_000000024.csv").read_text().splitlines()
    assert len(table) == 1 + 6
    assert table[1].startswith("clean,")
    warning = run.module.quality.warning
    assert run.notes == ([] if warning is None else [warning])
    # A finished training that is run again shows the same and trains nothing.
    again = train("whole")
    assert again.module.quality == run.module.quality
    assert again.watch.speeds == set()


def test_an_untrained_critic_is_warned_about_in_the_log_and_in_the_summary(train, monkeypatch, caplog):
    monkeypatch.setattr(
        "diffplan.training.modules.AbstractTrajectoryModule.configure_optimizers",
        lambda self: {"optimizer": torch.optim.SGD(self.backbone.parameters(), lr=0.0)},
    )
    run = train("untrained", keep_best=False)
    (note,) = run.notes
    assert "than chance" in note
    assert note in caplog.messages


def test_by_default_a_critic_is_trained_on_all_data_without_a_check(monkeypatch):
    config = composed("task=hopper-medium-v2")
    given = []
    trainer = lightning.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    monkeypatch.setattr(stages, "run_stage", lambda *words: given.extend(words) or trainer)
    module, stage = value_module(), Stage()
    data = TrajectoryDataModule(RewardedSource(), module.normalizer, 1, 2, 8, 1, batch_size=16, seed=0)
    assert config.critic.held_out == 0
    stages._run_critic(module, stage, data, config, [])
    assert given == [module, stage, data, config, [], config.critic.max_steps]
    assert module.kept is None


def test_the_best_critic_needs_held_out_episodes():
    words = ("task=hopper-medium-v2", "critic.keep=best")
    with pytest.raises(ConfigError, match=r"critic.keep=best chooses .* add critic.held_out=0.1"):
        check_stages(composed(*words))
    check_stages(composed(*words, "critic.held_out=0.1"))
