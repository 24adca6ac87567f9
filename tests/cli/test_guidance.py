"""``diffplan guidance`` on a run of 20 steps, with its own planner and with planners whose scores are known."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from diffplan.cli.guidance import GuidanceComparison
from diffplan.config.paths import CONF_DIR
from diffplan.config.resolvers import register_resolvers
from diffplan.data.source.d4rl_file import file_sha256
from diffplan.errors import DataError
from diffplan.planner.base import AbstractPlanner
from tests.training.test_stage import write_hops

FIRST = Path(__file__).parents[1] / "golden" / "first_format"
OWN = ("planner=fast_guided_planner", "planner.num_candidates=2", "sampler.num_inference_steps=2", "logger=csv_logger")
WORDS = (*OWN, "guide.scale=1", "num_episodes=3", "scales=[0,1]", "candidates=[1,2]")
CELLS = {"no_guide", "scale0-candidates2", "scale1-candidates1", "scale1-candidates2"}


class Torque(AbstractPlanner):
    """Holds a constant torque: without one a hopper stands for a while, with one it falls at once."""

    def __init__(self, torque: float) -> None:
        self.torque = torque

    def reset(self, observations, targets, seeds):
        self.seeds = list(seeds)

    def act(self, observations, active):
        return np.full((len(observations), 3), self.torque)


class Known(GuidanceComparison):
    """Plays the guide as one torque and no guide as another; remembers what it played, and may be interrupted."""

    guided, unguided, most = 0.0, 0.0, 99

    def _build(self, config, model, critic):
        if len(self.played) >= self.most:
            raise KeyboardInterrupt
        self.played.append(Torque(self.unguided if config.guide._target_.endswith("NoGuide") else self.guided))
        return self.played[-1]


@pytest.fixture
def make(tmp_path):
    shutil.copytree(FIRST, tmp_path / "run")

    def build(kind=Known, *words, **facts):
        register_resolvers()
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            config = compose("guidance", [*WORDS, f"checkpoint={tmp_path}/run", *words])
        OmegaConf.set_struct(config, False)
        comparison = kind("guidance", config)
        comparison.played = []
        for name, value in facts.items():
            setattr(comparison, name, value)
        return comparison

    return build


def cells(run: Path) -> dict[str, dict]:
    files = (run / "guidance" / "cells").iterdir()
    return {path.stem.removeprefix("single_task-").rpartition("-")[0]: json.loads(path.read_text()) for path in files}


def test_a_guide_that_makes_the_hopper_fall_is_called_harmful_and_the_opposite_is_called_good(make, tmp_path, capsys):
    make(Known, guided=1.0).run()
    assert "**Guidance harms: 2 candidates at scale 1 score" in (told := capsys.readouterr().out)
    assert "use guide=no_guide." in told
    shutil.rmtree(tmp_path / "run" / "guidance")
    make(Known, unguided=1.0).run()
    assert "**Guidance helps: 2 candidates at scale 1 score" in capsys.readouterr().out


def test_an_interrupted_check_goes_on_where_it_was_and_a_finished_one_plays_nothing(make, tmp_path):
    first = make(Known, guided=1.0, most=2)
    with pytest.raises(KeyboardInterrupt):
        first.run()
    assert set(cells(tmp_path / "run")) == {"no_guide", "scale1-candidates1"}
    second, third = make(Known, guided=1.0), make(Known, guided=1.0)
    second.run()
    third.run()
    assert (len(second.played), len(third.played)) == (2, 0)
    assert set(cells(tmp_path / "run")) == CELLS
    assert all(planner.seeds == [0, 1, 2] for planner in first.played + second.played)
    assert {tuple(cell["seeds"]) for cell in cells(tmp_path / "run").values()} == {(0, 1, 2)}


def test_data_that_is_away_is_said_and_what_was_played_is_measured_when_it_is_back(make, tmp_path, capsys):
    make(GuidanceComparison, "scales=[1]", "candidates=[2]", "num_episodes=1").run()
    assert "The drift from the data is left out: " in capsys.readouterr().out
    assert {cell["drift"] for cell in cells(tmp_path / "run").values()} == {None}
    write_hops(tmp_path / "hops.hdf5")
    words = ("scales=[1]", "candidates=[2]", "num_episodes=1", f"data_path={tmp_path}/hops.hdf5")
    with pytest.raises(DataError, match="is not the data that the model was trained on"):
        make(GuidanceComparison, *words).run()
    back = make(GuidanceComparison, *words)
    back.checkpoint["diffplan"]["data"]["sha256"] = file_sha256(tmp_path / "hops.hdf5")
    back.run()
    assert "which is normal" in capsys.readouterr().out
    measured = cells(tmp_path / "run")
    assert all(cell["drift"] > 0 and cell["data_drift"] > 0 for cell in measured.values())
    guided = measured["scale1-candidates2"]
    assert None not in (guided["value_mean"], guided["return_mean"], guided["decision_gflop"])
    assert measured["no_guide"]["value_mean"] is None


@pytest.mark.slow
def test_the_command_line_plays_the_planner_s_own_grid(tmp_path):
    shutil.copytree(FIRST, tmp_path / "run")
    words = [f"checkpoint={tmp_path}/run", *OWN, "candidates=[2]", "num_episodes=1"]
    command = [sys.executable, "-m", "diffplan", "guidance", *words]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert "One episode cannot tell guidance (2 candidates at scale 0.0001" in done.stdout
    scales = {name.removesuffix("-candidates2") for name in cells(tmp_path / "run")}
    assert scales == {"no_guide", "scale0", "scale1e-06", "scale1e-05", "scale0.0001", "scale0.001"}
