import csv
import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import wandb
from hydra.utils import instantiate
from lightning import Callback

from diffplan.errors import ConfigError
from diffplan.method.guide import NoGuide
from diffplan.planner.base import AbstractPlanner
from diffplan.run import stop_signal
from diffplan.tracking.csv_logger import CsvLogger
from diffplan.tracking.wandb_logger import WandbLogger
from diffplan.training.callback.checkpoint_callback import CheckpointCallback
from diffplan.training.callback.monitors import RandomState
from diffplan.training.callback.rollout_callback import RolloutCallback


@pytest.fixture
def make_rollouts(config, tmp_path):
    def make(**options) -> RolloutCallback:
        settings = {
            "env_id": config.task.env_id,
            "planner": instantiate(config.planner),
            "reference_min": config.task.reference_min,
            "reference_max": config.task.reference_max,
            "media_dir": str(tmp_path / "evaluation"),
            "every_n_steps": 2,
            "num_episodes": 1,
            "num_final_episodes": 2,
            "num_videos": 0,
        }
        return RolloutCallback(**settings | options)

    return make


def logged(folder: Path) -> list[dict]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if any(key.startswith("eval/") for key in row)]


def test_evaluations_do_not_change_training(fit, make_rollouts):
    without = fit(max_steps=5)
    rollouts = make_rollouts()
    with_rollouts = fit(rollouts, max_steps=5)
    mine, theirs = with_rollouts.module.state_dict(), without.module.state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[key], theirs[key]) for key in theirs)
    assert set(rollouts.final) == {"single_task", "multi2d"}


def test_evaluations_come_at_their_steps_and_once_at_the_end(fit, make_rollouts, tmp_path):
    fit(make_rollouts(), max_steps=4, accumulate_grad_batches=2, loggers=[CsvLogger(tmp_path)])
    assert [(row["step"], row[key]) for row in logged(tmp_path) for key in row if key.endswith("num_episodes")] == [
        (2, 1.0),
        (2, 1.0),
        (4, 2.0),
        (4, 2.0),
    ]


def test_zero_evaluates_only_at_the_end(fit, make_rollouts, tmp_path):
    fit(make_rollouts(every_n_steps=0, protocols=["multi2d"]), max_steps=4, loggers=[CsvLogger(tmp_path)])
    assert [row["step"] for row in logged(tmp_path)] == [4]


def test_an_evaluation_that_a_kill_prevented_is_made_up_for(fit, make_rollouts, tmp_path):
    """The checkpoint of step 2 is on disk before its evaluation begins; the run dies in between."""

    class Kill(Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            if trainer.global_step == 2:
                raise RuntimeError("dies here")

    with pytest.raises(RuntimeError, match="dies here"):
        fit(CheckpointCallback(str(tmp_path), 1), Kill(), make_rollouts(protocols=["single_task"]), max_steps=4)
    assert not (tmp_path / "metrics.jsonl").exists()
    fit(
        CheckpointCallback(str(tmp_path), 1),
        make_rollouts(protocols=["single_task"]),
        max_steps=4,
        checkpoint=tmp_path / "last.ckpt",
        loggers=[CsvLogger(tmp_path)],
    )
    assert [row["step"] for row in logged(tmp_path)] == [2, 4]


def test_an_evaluation_that_a_stop_breaks_off_begins_anew_from_its_own_step(fit, config, make_rollouts, tmp_path):
    """Nothing but evaluations asks for a checkpoint here, and the signal comes while the first of them plays."""
    build, built = instantiate(config.planner), []

    def told_to_stop(*models):
        # The first planner is only built to see whether it can be.
        if built:
            os.kill(os.getpid(), signal.SIGTERM)
        built.append(build(*models))
        return built[-1]

    whole = fit(max_steps=4)
    with pytest.raises(SystemExit) as stopped:
        fit(CheckpointCallback(str(tmp_path), 100), make_rollouts(planner=told_to_stop), max_steps=4)
    assert stopped.value.code == 143
    checkpoint = tmp_path / "last.ckpt"
    assert torch.load(checkpoint, weights_only=True)["global_step"] == 2
    resumed = fit(
        CheckpointCallback(str(tmp_path), 100),
        make_rollouts(protocols=["single_task"]),
        max_steps=4,
        checkpoint=checkpoint,
        loggers=[CsvLogger(tmp_path)],
    )
    assert [row["step"] for row in logged(tmp_path)] == [2, 4]
    mine, theirs = resumed.module.state_dict(), whole.module.state_dict()
    assert all(torch.equal(mine[key], theirs[key]) for key in theirs)


def test_csv_and_wandb_receive_the_same_numbers(fit, make_rollouts, tmp_path, monkeypatch):
    for name in ("CONFIG", "CACHE", "DATA"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    wandb_logger = WandbLogger(project="diffplan", save_dir=tmp_path, mode="offline")
    fit(make_rollouts(), max_steps=4, loggers=[CsvLogger(tmp_path), wandb_logger])
    wandb.teardown()
    (run_dir,) = tmp_path.glob("wandb/offline-run-*")
    command = [str(Path(sys.executable).with_name("wandb")), "leet", "inspect", "--json", str(run_dir)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    received = {}
    for record in map(json.loads, output.splitlines()):
        values = record.get("history", {}).get("item", {})
        for key, value in values.items():
            # Sizes of pictures and tables have a dot in their names.
            if key.startswith("eval/") and "." not in key and isinstance(value, float | int):
                received[values["trainer/global_step"], key] = value
    written = {
        (row["step"], key): value for row in logged(tmp_path) for key, value in row.items() if key.startswith("eval/")
    }
    assert written
    assert received == pytest.approx(written)
    with (tmp_path / "metrics.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    assert float(last["eval/multi2d/return_mean"]) == written[4, "eval/multi2d/return_mean"]


def test_a_finished_training_is_evaluated_again_without_a_step(fit, make_rollouts, tmp_path):
    first = make_rollouts(every_n_steps=0)
    fit(RandomState(), CheckpointCallback(str(tmp_path), 100), first, max_steps=2)
    again = make_rollouts(every_n_steps=0)
    fitted = fit(
        RandomState(), CheckpointCallback(str(tmp_path), 100), again, max_steps=2, checkpoint=tmp_path / "last.ckpt"
    )
    assert fitted.trainer.global_step == 2
    for protocol, evaluation in first.final.items():
        assert (again.final[protocol].rollout.returns == evaluation.rollout.returns).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_episodes": 0}, "at least one episode"),
        ({"protocols": []}, "one protocol"),
        ({"protocols": "single"}, "may hold single_task, multi2d; got single."),
    ],
)
def test_an_evaluation_of_nothing_is_refused(make_rollouts, options, message):
    with pytest.raises(ConfigError, match=message):
        make_rollouts(**options)


def test_one_protocol_may_be_a_word(make_rollouts):
    assert make_rollouts(protocols="multi2d").protocols == ["multi2d"]


class Torque(AbstractPlanner):
    """Holds a constant torque; the guide asks for one that makes a hopper fall at once."""

    def __init__(self, model, critic, guide, num_candidates) -> None:
        self.torque = 0.0 if guide is NoGuide else 1.0
        assert num_candidates == (1 if guide is NoGuide else 8)

    def reset(self, observations, targets, seeds):
        return None

    def act(self, observations, active):
        return np.full((len(observations), 3), self.torque)


@pytest.fixture
def make_guided_rollouts(make_rollouts):
    """Plays a hopper, whatever is trained."""

    def make(**options) -> RolloutCallback:
        planner = partial(Torque, guide=object(), num_candidates=8)
        settings = {"env_id": "hopper-random-v2", "protocols": ["single_task"], "num_final_episodes": 4}
        return make_rollouts(**settings | {"planner": planner} | options)

    return make


def test_the_last_evaluation_warns_of_a_guide_that_lowers_the_score(fit, make_guided_rollouts, tmp_path, caplog):
    rollouts = make_guided_rollouts(compare_without_guide=3)
    fit(rollouts, max_steps=4, loggers=[CsvLogger(tmp_path)])
    comparison = rollouts.final["single_task"].comparison
    assert len(comparison.unguided) == 3
    assert (comparison.guided == rollouts.final["single_task"].scores[:3]).all()
    assert comparison.is_harmful
    (warning,) = [record for record in caplog.records if "Guidance lowers the score" in record.getMessage()]
    assert warning.levelname == "WARNING"
    while_training, last = logged(tmp_path)
    assert "eval/single_task/guide_gain_mean" not in while_training
    assert last["eval/single_task/guide_gain_high"] < 0
    assert last["eval/single_task/no_guide_score_mean"] > last["eval/single_task/normalized_score_mean"]


def test_what_is_not_asked_for_or_has_no_guide_is_not_compared(fit, make_rollouts, make_guided_rollouts):
    unasked, mazes = make_guided_rollouts(), make_rollouts(every_n_steps=0, compare_without_guide=2)
    fit(unasked, max_steps=2)
    fit(mazes, max_steps=2)
    assert [evaluation.comparison for evaluation in (*unasked.final.values(), *mazes.final.values())] == [None] * 3


def test_a_stop_while_the_episodes_without_a_guide_play_begins_the_evaluation_anew(fit, make_guided_rollouts, tmp_path):
    class Stopping(Torque):
        def act(self, observations, active):
            if self.torque == 0.0:
                # What the handler of the signal does, which the command installs.
                stop_signal._process.received = signal.SIGTERM
            return super().act(observations, active)

    planner = partial(Stopping, guide=object(), num_candidates=8)
    rollouts = make_guided_rollouts(compare_without_guide=2, every_n_steps=0, planner=planner)
    with pytest.raises(SystemExit):
        fit(CheckpointCallback(str(tmp_path), 100), rollouts, max_steps=2, loggers=[CsvLogger(tmp_path)])
    assert not (tmp_path / "metrics.jsonl").exists() or not logged(tmp_path)
