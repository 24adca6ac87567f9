"""``diffplan plan`` in real processes, on a run of a few steps."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

FIRST = Path(__file__).parents[1] / "golden" / "first_format"


@pytest.fixture(scope="module")
def run_dir(make_train_command):
    """A trained run whose data set is gone."""
    command = make_train_command("trained")
    result = command()
    assert result.returncode == 0, result.stderr
    shutil.rmtree(command.folder / "data")
    (run_dir,) = command.run_dirs
    return run_dir


def plan(*words):
    flags = [word for word in words if word.startswith("-")]
    overrides = [word for word in words if word not in flags]
    command = [sys.executable, "-m", "diffplan.cli.plan", *flags, "num_videos=0", "num_threads=1", *overrides]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HYDRA_FULL_ERROR": "0"}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


def evaluation(run_dir, ablation):
    """The folder of the only evaluation with these changes."""
    (folder,) = (run_dir / "plans").glob(f"{ablation}-????????")
    return folder


def results(folder):
    return json.loads((folder / "results.json").read_text())


def test_the_same_seeds_score_the_same_as_at_the_end_of_training(run_dir):
    result = plan(f"checkpoint={run_dir}", "num_episodes=2")
    assert result.returncode == 0, result.stderr
    trained = json.loads((run_dir / "results.json").read_text())
    folder = evaluation(run_dir, "num_episodes=2,num_videos=0")
    planned = results(folder)
    assert planned["step"] == trained["step"]
    assert planned["data"] == trained["data"]
    same = [key for key in trained["metrics"] if not key.endswith("_seconds")]
    assert {key: planned["metrics"][key] for key in same} == {key: trained["metrics"][key] for key in same}
    assert (folder / "index.html").exists()
    assert "single_task" in result.stdout
    assert "no D4RL result" in result.stdout


def test_another_scheduler_and_one_protocol_are_taken_from_the_command_line(run_dir):
    overrides = ["scheduler=ddim", "scheduler.num_train_timesteps=4", "sampler.num_inference_steps=2"]
    overrides += ["protocols=[multi2d]", "num_episodes=3"]
    result = plan(f"checkpoint={run_dir / 'checkpoints' / 'last.ckpt'}", *overrides)
    assert result.returncode == 0, result.stderr
    (folder,) = [path for path in (run_dir / "plans").iterdir() if "protocols=-multi2d-" in path.name]
    metrics = results(folder)["metrics"]
    assert {key.split("/")[1] for key in metrics} == {"multi2d"}
    assert metrics["eval/multi2d/num_episodes"] == 3


def test_an_evaluation_that_is_there_is_shown_and_repeated_on_request_or_for_other_weights(run_dir, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run_dir, copy, ignore=shutil.ignore_patterns("plans"))
    words = (f"checkpoint={copy}", "num_episodes=1", "protocols=[multi2d]")
    assert plan(*words).returncode == 0
    (folder,) = (copy / "plans").iterdir()
    first = (folder / "results.json").read_bytes()
    again = plan(*words)
    assert "this evaluation is there already; resume=false repeats it" in again.stdout
    assert "multi2d" in again.stdout
    assert (folder / "results.json").read_bytes() == first
    assert plan(*words, "resume=false").returncode == 0
    repeated = (folder / "results.json").read_bytes()
    assert repeated != first
    weights = torch.load(copy / "checkpoints" / "last.ckpt", weights_only=True)
    weights["global_step"] += 1
    torch.save(weights, copy / "checkpoints" / "last.ckpt")
    assert plan(*words).returncode == 0
    assert json.loads(repeated)["step"] + 1 == results(folder)["step"]
    assert len(list((copy / "plans").iterdir())) == 1


@pytest.mark.slow
def test_a_sweep_over_checkpoints_and_settings_runs_what_is_missing(run_dir, tmp_path):
    words = ("-m", "+sweep=planning_horizon", f"checkpoint={run_dir},nowhere", "planner.horizon=8,16,30")
    words += ("num_episodes=1", "logger=csv_logger", "protocols=[single_task]")
    for _ in range(2):
        result = plan(*words)
        assert result.returncode == 1
        assert "2 of 6 cells finished; the same command runs the 4 that are missing" in result.stderr
        assert result.stderr.count("there is no checkpoint at nowhere") == 3
        assert result.stderr.count("horizon=30 does not fit a U-Net of 3 levels") == 1
    assert "2 of 6 cells are finished and are not launched again" in result.stdout
    assert results(next(run_dir.glob("plans/*planner.horizon=8*")))["sweep"] == "planning_horizon"
    listed = plan(*words, "--dry")
    assert listed.returncode == 0, listed.stderr
    assert "2 of 6 cells are finished, 4 failed." in listed.stdout


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["checkpoint=nowhere"], "there is no checkpoint at nowhere"),
        ([], "checkpoint=... must be given"),
        (["checkpoint=RUN", "planner.horizon=30"], "horizon=30 does not fit a U-Net of 3 levels"),
        (["checkpoint=RUN", "prediction_type=epsilon"], "was trained to predict sample, not epsilon"),
        (["checkpoint=RUN", "sampler.num_inference_steps=99"], "num_inference_steps must lie between 1 and the 4"),
        (["checkpoint=RUN", "num_episodes=many"], "num_episodes must be int, got 'many'"),
        (["checkpoint=RUN", "sheduler=ddim"], "there is no setting 'sheduler'; did you mean 'scheduler'?"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_mistake_stops_with_one_sentence(run_dir, overrides, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = plan(*[override.replace("RUN", str(run_dir)) for override in overrides])
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("diffplan plan: ")
    assert sentence in line


@pytest.mark.slow
def test_episodes_without_a_guide_are_played_beside_in_a_folder_of_their_own(tmp_path):
    shutil.copytree(FIRST, tmp_path / "run")
    words = (f"checkpoint={tmp_path}/run", "planner.num_candidates=2", "num_episodes=2", "logger=csv_logger")
    words += ("sampler.num_inference_steps=2",)
    alone, beside = plan(*words), plan(*words, "compare_without_guide=1")
    assert (alone.returncode, beside.returncode) == (0, 0), alone.stderr + beside.stderr
    assert "Guidance beside no guide: one episode scores" in beside.stdout + beside.stderr
    without, compared = sorted((tmp_path / "run" / "plans").iterdir(), key=lambda folder: "compare" in folder.name)
    assert "compare_without_guide=1" in compared.name
    first, second = results(without)["metrics"], results(compared)["metrics"]
    assert first["eval/single_task/return_mean"] == second["eval/single_task/return_mean"]
    gain = second["eval/single_task/guide_gain_mean"]
    assert (
        gain
        == results(compared)["protocols"]["single_task"]["scores"][0] - second["eval/single_task/no_guide_score_mean"]
    )
    assert not any("guide" in key for key in first)
