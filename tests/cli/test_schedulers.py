"""``diffplan schedulers`` in real processes, on runs of a few steps."""

import csv
import json
import os
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def run_dir(make_train_command):
    command = make_train_command("trained")
    result = command()
    assert result.returncode == 0, result.stderr
    (run_dir,) = command.run_dirs
    return run_dir


def guide(run_dir, *overrides):
    words = [f"checkpoint={run_dir}", "num_episodes=2", "logger=csv_logger", *overrides]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HYDRA_FULL_ERROR": "0"}
    command = [sys.executable, "-m", "diffplan.cli.schedulers", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=250, env=environment)


def cells(run_dir):
    return {path.name: path.stat().st_mtime_ns for path in (run_dir / "schedulers" / "cells").iterdir()}


@pytest.mark.slow
def test_a_guide_plays_every_cell_once_lists_what_cannot_serve_and_goes_on_where_it_was(run_dir):
    words = ["schedulers=[ddim,heun,flow_match_euler]", "steps=[1,3]", "protocols=[single_task]"]
    first = guide(run_dir, *words)
    assert first.returncode == 0, first.stderr
    assert "flow_match_euler in 1, 3 steps: the network was trained as a diffusion" in first.stdout
    folder, played = run_dir / "schedulers", cells(run_dir)
    assert len(played) == 4
    with (folder / "schedulers.csv").open() as file:
        calls = {(row["scheduler"], row["steps"]): row["network_calls"] for row in csv.DictReader(file)}
    assert calls == {("ddim", "1"): "1", ("ddim", "3"): "3", ("heun", "1"): "1", ("heun", "3"): "5"}
    assert (folder / "schedulers-single_task.png").stat().st_size > 10_000
    # A file that was lost is played again, alone, and its scores are the same.
    lost = folder / "cells" / next(name for name in played if "heun-3" in name)
    before = json.loads(lost.read_text())["scores"]
    lost.unlink()
    second = guide(run_dir, *words)
    assert second.returncode == 0, second.stderr
    assert {name for name, time in cells(run_dir).items() if played[name] != time} == {lost.name}
    assert json.loads(lost.read_text())["scores"] == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["schedulers=[ddmi]"], "schedulers must be some of ddim, ddpm, deis"),
        (["steps=[99]", "schedulers=[ddim]"], "no scheduler can serve: ddim in 99 steps: sampler.num_inference_steps"),
        (["step=[1]"], "there is no setting 'step'; did you mean"),
    ],
)
def test_a_mistake_stops_with_one_sentence(run_dir, overrides, sentence):
    result = guide(run_dir, *overrides)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("diffplan schedulers: ")
    assert sentence in result.stderr


@pytest.mark.slow
def test_a_flow_is_trained_and_planned_with(make_train_command):
    command = make_train_command("flow")
    result = command("scheduler=flow_match_euler", "scheduler.num_train_timesteps=4")
    assert result.returncode == 0, result.stderr
    (run_dir,) = command.run_dirs
    result = guide(run_dir, "schedulers=[flow_match_euler,ddim]", "steps=[2]", "protocols=[single_task]")
    assert result.returncode == 0, result.stderr
    assert "ddim in 2 steps: the network was trained as a flow" in result.stdout
    (name,) = cells(run_dir)
    assert name.startswith("single_task-flow_match_euler-2-")
