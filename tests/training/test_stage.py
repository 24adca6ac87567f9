"""Critic and denoiser in one command, or one alone, in real processes on a few random hops."""

import json
import os
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
import torch

from diffplan.env.make_env import make_env

TASK = "task=hopper-medium-expert-v2"
SMALL = (
    TASK,
    "logger=csv_logger",
    "trainer=cpu",
    "trainer.max_steps=12",
    "trainer.log_every_n_steps=4",
    "trainer.accumulate_grad_batches=1",
    "critic.max_steps=8",
    "window.horizon=8",
    "task.dim_multipliers=[1,4]",
    "task.diffusion_steps=4",
    "backbone.dim=16",
    "critic.backbone.dim=16",
    "datamodule.batch_size=8",
    "callbacks.checkpoint.every_n_steps=4",
    "callbacks.rollout.num_final_episodes=2",
    "callbacks.rollout.num_videos=0",
    "planner.num_candidates=3",
    "guide.t_stopgrad=1",
    "num_threads=1",
)


def write_hops(path, num_episodes: int = 12) -> None:
    """A data set in D4RL's layout from random torques; random hops are short and end in a fall."""
    env = make_env("hopper-random-v2")
    rows = {name: [] for name in ("observations", "actions", "rewards", "terminals", "timeouts")}
    random = np.random.default_rng(0)
    for seed in range(num_episodes):
        observation, ended = env.reset(seed=seed)[0], False
        while not ended:
            action = random.uniform(-1, 1, 3)
            rows["observations"].append(observation)
            observation, reward, terminated, truncated, _ = env.step(action)
            ended = terminated or truncated
            for name, value in (("actions", action), ("rewards", reward), ("terminals", terminated)):
                rows[name].append(value)
            rows["timeouts"].append(truncated)
    with h5py.File(path, "w") as file:
        for name, values in rows.items():
            kind = bool if name in ("terminals", "timeouts") else np.float32
            file[name] = np.asarray(values, dtype=kind)


@pytest.fixture(scope="module")
def hops(tmp_path_factory):
    path = tmp_path_factory.mktemp("hops") / "hops.hdf5"
    write_hops(path)
    return path


@pytest.fixture
def train(train_command, hops):
    def run(*overrides: str, **options) -> subprocess.CompletedProcess:
        small = [word for word in SMALL if "critic=none" not in overrides or not word.startswith("critic.")]
        return train_command(*small, f"source.path={hops}", *overrides, tiny=False, **options)

    run.folder = train_command.folder
    return run


@pytest.fixture(scope="module")
def trained(make_train_command, hops):
    """A finished run of both stages, and what its command printed."""
    command = make_train_command("both")
    result = command(*SMALL, f"source.path={hops}", tiny=False)
    assert result.returncode == 0, result.stderr
    (run_dir,) = command.run_dirs
    return run_dir, result


def run_dirs(folder):
    return sorted(path.parent for path in folder.glob("runs/*/*/*/.hydra"))


def weights(path):
    return torch.load(path, weights_only=True)["state_dict"]


def plan(*overrides: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "diffplan.cli.plan", "num_videos=0", "num_threads=1", "num_episodes=2", *overrides]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HYDRA_FULL_ERROR": "0"}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


def test_one_command_trains_both_and_plans_with_them(trained):
    run_dir, result = trained
    names = {path.name for path in (run_dir / "checkpoints").iterdir()}
    assert names == {"critic.ckpt", "critic.previous.ckpt", "last.ckpt", "last.previous.ckpt"}
    metrics = json.loads((run_dir / "results.json").read_text())["metrics"]
    assert metrics["eval/single_task/num_episodes"] == 2
    assert metrics["eval/single_task/decision_gflop"] > 0
    assert "eval/single_task/value_correlation" in metrics
    assert "single_task" in result.stdout
    logged = (run_dir / "metrics.jsonl").read_text()
    assert '"critic/loss"' in logged
    assert '"train/loss"' in logged


def test_the_run_is_ended_once_and_not_after_its_first_stage(trained):
    events = [json.loads(line)["event"] for line in (trained[0] / "events.jsonl").read_text().splitlines()]
    assert events == ["start", "finish"]


def test_planning_takes_the_critic_from_beside_the_denoiser_and_the_planner_from_the_task(trained):
    run_dir, _ = trained
    result = plan(f"checkpoint={run_dir}", "planner.num_candidates=3", "guide.t_stopgrad=1")
    assert result.returncode == 0, result.stderr
    (results,) = (run_dir / "plans").glob("*candidates=3*/results.json")
    same = [key for key in json.loads(results.read_text())["metrics"] if not key.endswith("_seconds")]
    there, here = (json.loads(path.read_text())["metrics"] for path in (run_dir / "results.json", results))
    assert {key: here[key] for key in same} == {key: there[key] for key in same}


def test_planning_without_a_guide_needs_no_critic(trained, tmp_path):
    run_dir, _ = trained
    alone = tmp_path / "alone" / "checkpoints"
    alone.mkdir(parents=True)
    shutil.copy(run_dir / "checkpoints" / "last.ckpt", alone)
    assert plan(f"checkpoint={alone.parent}", "guide=no_guide").returncode == 0
    result = plan(f"checkpoint={alone.parent}")
    assert result.returncode == 1
    assert "guide=value_guide follows a critic, and this run has none" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_finished_run_is_not_trained_again(train, trained):
    run_dir, _ = trained
    shutil.copytree(run_dir.parents[2], train.folder / "runs")
    (copy,) = run_dirs(train.folder)
    before = {path.name: path.read_bytes() for path in (copy / "checkpoints").iterdir()}
    result = train()
    assert result.returncode == 0, result.stderr
    assert {path.name: path.read_bytes() for path in (copy / "checkpoints").iterdir()} == before


@pytest.mark.slow
def test_a_run_stopped_in_either_stage_resumes_to_the_same_weights(train, trained):
    whole, _ = trained
    for step in ("critic.max_steps=4", "trainer.max_steps=4"):
        folder = train.folder / step.split(".")[0]
        first = train(step, f"paths.run_dir={folder}", "callbacks.rollout=null")
        assert first.returncode == 0, first.stderr
        if step.startswith("critic"):
            # As if killed after four steps of the critic: its denoiser has not begun.
            (folder / "checkpoints" / "last.ckpt").unlink()
        (folder / "results.json").unlink()
        second = train(f"paths.run_dir={folder}", "callbacks.rollout=null")
        assert second.returncode == 0, second.stderr
        for name in ("critic.ckpt", "last.ckpt"):
            resumed, uninterrupted = weights(folder / "checkpoints" / name), weights(whole / "checkpoints" / name)
            assert resumed.keys() == uninterrupted.keys()
            assert all(torch.equal(resumed[key], uninterrupted[key]) for key in resumed), name


def test_a_critic_is_trained_alone_and_given_by_path(train, trained):
    alone = train("stages=[critic]")
    assert alone.returncode == 0, alone.stderr
    (first,) = run_dirs(train.folder)
    assert {path.name for path in (first / "checkpoints").iterdir()} == {"critic.ckpt", "critic.previous.ckpt"}
    given = train("stages=[denoiser]", f"critic.path={first}")
    assert given.returncode == 0, given.stderr
    (second,) = [run_dir for run_dir in run_dirs(train.folder) if run_dir != first]
    pair = [run_dir / "checkpoints" / "critic.ckpt" for run_dir in (first, second)]
    assert pair[0].read_bytes() == pair[1].read_bytes()
    theirs, ours = (weights(run_dir / "checkpoints" / "last.ckpt") for run_dir in (trained[0], second))
    assert all(torch.equal(theirs[key], ours[key]) for key in theirs)


def test_a_critic_is_trained_for_a_denoiser_that_is_there(train, trained):
    result = train(f"denoiser={trained[0]}", "critic.target.discount=0.9")
    assert result.returncode == 0, result.stderr
    (run_dir,) = run_dirs(train.folder)
    assert {path.name for path in (run_dir / "checkpoints").iterdir()} == {"critic.ckpt", "critic.previous.ckpt"}
    assert json.loads((run_dir / "results.json").read_text())["metrics"]["eval/single_task/num_episodes"] == 2


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["stages=[critics]"], "stages may hold critic and denoiser, got ['critics']"),
        (["stages=[critic]", "critic=none"], "guide=value_guide follows a critic, and this run has none"),
        (["stages=[denoiser]"], "give critic.path=<run>, or choose critic=none"),
        (["critic.target.discount=1.5"], "critic.target.discount must be at most 1, got 1.5"),
        (["critic=none"], "guide=value_guide follows a critic, and this run has none"),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_sentence(train, overrides, sentence):
    result = train(*overrides)
    assert result.returncode == 1
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


def test_a_critic_of_other_settings_is_refused_with_the_reason(train, trained):
    other = train("stages=[critic]", "window.horizon=16")
    assert other.returncode == 0, other.stderr
    (critic,) = run_dirs(train.folder)
    result = plan(f"checkpoint={trained[0]}", f"critic.path={critic}")
    assert result.returncode == 1
    assert "the denoiser has horizon=8, but the critic was trained with horizon=16" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_denoiser_is_no_critic(trained):
    file = trained[0] / "checkpoints" / "last.ckpt"
    result = plan(f"checkpoint={trained[0]}", f"critic.path={file}")
    assert result.returncode == 1
    assert "holds a denoiser where a critic is needed" in result.stderr
