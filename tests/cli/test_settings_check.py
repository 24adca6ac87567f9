"""Mistakes are told before torch is imported and before anything is written."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

FIRST = Path(__file__).parents[1] / "golden" / "first_format"
PROGRAM = """
import atexit, importlib, sys
atexit.register(lambda: print("imported", *[name for name in ("torch", "lightning", "wandb") if name in sys.modules]))
name = sys.argv.pop(1)
importlib.import_module(f"diffplan.cli.{name}").main()
"""


def run(command, *words, folder):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, command, *words], capture_output=True, text=True, cwd=folder, timeout=120
    )


@pytest.mark.parametrize(
    ("command", "word", "message"),
    [
        ("train", "optimizr.lr=1", "there is no setting 'optimizr.lr'; did you mean 'optimizer.lr'?"),
        ("train", "backbone=temporal_net", "there is no backbone 'temporal_net'"),
        ("train", "window.padding=mirror", "padding must be Literal['none', 'zero', 'edge'], got 'mirror'."),
        ("train", "optimizer.lr=abc", "optimizer.lr must be float | Tensor, got 'abc'."),
        ("train", "seed=x", "seed must be int, got 'x'."),
        ("train", "datamodule.batch_size=1.5", "datamodule.batch_size must be int, got 1.5."),
        ("train", "name='a[b'", "name must be a name of letters, digits and plain signs, got 'a[b'."),
        ("train", "name='a<b'", "name must be a name of letters, digits and plain signs, got 'a<b'."),
        ("train", "name='a$b'", "name must be a name of letters, digits and plain signs, got 'a$b'."),
        ("train", "task.name='a`b'", "task.name must be a name of letters, digits and plain signs, got 'a`b'."),
        ("train", "window.horizon=30", "horizon=30 does not fit a U-Net of 3 levels"),
        ("train", "planner.horizon=30", "horizon=30 does not fit a U-Net of 3 levels"),
        ("train", "task.diffusion_steps=0", "task.diffusion_steps must be at least 1, got 0."),
        ("train", "trainer.precision=33", "trainer.precision must be"),
        ("train", "stages=[policy]", "stages may hold critic and denoiser, got ['policy']."),
        ("train", "denoiser=outputs/some_run", "nothing is left to train"),
        ("plan", "num_episodez=3", "did you mean 'num_episodes'?"),
        (
            "train",
            "--experiment=quickstart",
            "is a setting: write experiment=... without dashes.",
        ),
        ("train", "seed=0,1", "add -m to run every value"),
        ("plan", "--num_episodes=3", "is a setting: write num_episodes=... without dashes."),
        ("plan", "num_episodes=0", "num_episodes must be at least 1, got 0."),
        ("plan", "num_episodes=x", "num_episodes must be int, got 'x'."),
        ("plan", "planner.num_candidates=1.5", "planner.num_candidates must be int, got 1.5."),
        ("plan", "planner.horizon=31", "horizon=31 does not fit a U-Net"),
        ("plan", "prediction_type=epsilon", "the checkpoint was trained to predict sample, not epsilon."),
        ("schedulers", "steps=[1.5]", "steps must be list[int] | None, got [1.5]."),
        ("guidance", "scales=[-1]", "scales[0] must be at least 0, got -1"),
        ("guidance", "candidates=[]", "candidates must not be empty."),
        ("guidance", "planner=waypoint_planner", "WaypointPlanner follows no guide here; give planner=guided_planner"),
        ("guidance", "compare_without_guide=3", "compare_without_guide is a setting of diffplan plan"),
        ("plan", "compare_without_guide=-1", "compare_without_guide must be at least 0, got -1."),
    ],
)
def test_a_mistake_is_told_without_torch_and_leaves_nothing_behind(command, word, message, tmp_path):
    words = [word]
    if command != "train":
        shutil.copytree(FIRST, tmp_path / "run")
        words.append("checkpoint=run")
    before = sorted(tmp_path.rglob("*"))
    done = run(command, *words, folder=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout.splitlines()[-1].strip() == "imported"
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("command", "word", "message"),
    [
        ("plan", "normalizer.scale", "normalizer.scale must be above 0."),
        ("schedulers", "normalizer.scale", "normalizer.scale must be above 0."),
        ("plan", "sampler.num_inference_steps=99", "num_inference_steps must lie between 1 and the"),
    ],
)
def test_what_only_the_tensors_tell_is_told_before_anything_is_written(command, word, message, tmp_path):
    """Damaged statistics, and a number of steps that the scheduler does not have."""
    shutil.copytree(FIRST, tmp_path / "run")
    words = ["checkpoint=run"]
    if word == "normalizer.scale":
        path = tmp_path / "run" / "checkpoints" / "last.ckpt"
        content = torch.load(path, weights_only=True)
        content["state_dict"][word] *= -1
        torch.save(content, path)
    else:
        words.append(word)
    before = sorted(tmp_path.rglob("*"))
    done = run(command, *words, folder=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("command", ["train", "plan", "schedulers", "guidance"])
def test_help_is_shown_without_torch(command, tmp_path):
    done = run(command, "--help", folder=tmp_path)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].strip() == "imported"
    assert not list(tmp_path.iterdir())


def test_a_sweep_checks_its_last_cell_before_it_starts_the_first(tmp_path):
    words = ["-m", "trainer.max_steps=1,x", "logger=csv_logger", "source=maze2d_source", "paths.data_dir=/dev/null/x"]
    done = run("train", *words, folder=tmp_path)
    assert done.returncode == 1
    assert "failed: trainer.max_steps=x: trainer.max_steps must be int, got 'x'." in done.stderr
    assert not list(tmp_path.rglob("*seed0-*/.hydra/overrides.yaml"))[1:]


def test_dry_lists_finished_cells_without_torch(tmp_path):
    shutil.copytree(FIRST, tmp_path / "run")
    words = ["--dry", "paths.run_dir=run", "trainer.max_steps=20", "callbacks.rollout=null"]
    done = run("train", *words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 of 1 cells are finished." in done.stdout
    assert done.stdout.splitlines()[-1].strip() == "imported"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (
            "guide.scale=0.1",
            "guide.scale is a setting of guide=calibrated_guide or value_guide, which is not chosen here.",
        ),
        ("planner.num_candidates=2", "planner.num_candidates is a setting of planner="),
        ("optimizer=null", "optimizer chooses a file of conf/optimizer, got null"),
        ("logger=3", "logger chooses a file of conf/logger, got 3"),
        (f"seed={'9' * 5000}", "is no number that can be meant."),
        ("--nothing", "unrecognized arguments: --nothing"),
    ],
)
def test_a_word_that_hydra_does_not_explain_is_told_in_one_sentence(word, message, tmp_path):
    done = run("train", word, folder=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_grid_without_end_is_refused(tmp_path):
    done = run("train", "-m", "seed=range(0,1000000000)", folder=tmp_path)
    assert done.returncode == 1
    assert "a sweep may have 10000 cells, and this one has 1000000000." in done.stderr
