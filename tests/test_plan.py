"""``diffplan-plan`` in real processes, on a run of a few steps."""

import json
import os
import shutil
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def run_dir(make_train_command):
    """A trained run whose data set is gone."""
    command = make_train_command("trained")
    result = command()
    assert result.returncode == 0, result.stderr
    shutil.rmtree(command.folder / "data")
    (run_dir,) = command.run_dirs
    return run_dir


def plan(*overrides):
    command = [sys.executable, "-m", "diffplan.plan", "num_videos=0", "num_threads=1", *overrides]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HYDRA_FULL_ERROR": "0"}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


def results(run_dir, folder):
    return json.loads((run_dir / "plans" / folder / "results.json").read_text())


def test_the_same_seeds_score_the_same_as_at_the_end_of_training(run_dir):
    result = plan(f"checkpoint={run_dir}", "num_episodes=2")
    assert result.returncode == 0, result.stderr
    trained = json.loads((run_dir / "results.json").read_text())
    planned = results(run_dir, "num_episodes=2,num_videos=0")
    assert planned["step"] == trained["step"]
    assert planned["data"] == trained["data"]
    same = [key for key in trained["metrics"] if not key.endswith("_seconds")]
    assert {key: planned["metrics"][key] for key in same} == {key: trained["metrics"][key] for key in same}
    assert (run_dir / "plans" / "num_episodes=2,num_videos=0" / "index.html").exists()
    assert "single_task" in result.stdout
    assert "no D4RL result" in result.stdout


def test_another_scheduler_and_one_protocol_are_taken_from_the_command_line(run_dir):
    overrides = ["scheduler=ddim", "scheduler.num_train_timesteps=4", "sampler.num_inference_steps=2"]
    overrides += ["protocols=[multi2d]", "num_episodes=3"]
    result = plan(f"checkpoint={run_dir / 'checkpoints' / 'last.ckpt'}", *overrides)
    assert result.returncode == 0, result.stderr
    (folder,) = [path.name for path in (run_dir / "plans").iterdir() if "protocols=-multi2d-" in path.name]
    metrics = results(run_dir, folder)["metrics"]
    assert {key.split("/")[1] for key in metrics} == {"multi2d"}
    assert metrics["eval/multi2d/num_episodes"] == 3


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
    assert line.startswith("diffplan-plan: ")
    assert sentence in line
