"""The sweep files: what Hydra and W&B both make of them."""

import itertools
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from diffplan.config.paths import CONF_DIR
from diffplan.config.resolvers import register_resolvers
from diffplan.sweep.sweep_file import SweepFile, expand_sweep

SWEEPS = sorted((Path(__file__).parent.parent / "sweeps").glob("*.yaml"))
NUM_CELLS = {
    "candidates": 7,
    "critic_discount": 12,
    "guide_scale": 6,
    "guide_steps": 4,
    "guide_stop": 5,
    "horizon": 12,
    "planning_horizon": 5,
    "prediction_type": 9,
    "quickstart_width": 9,
    "replanning": 4,
    "scheduler_steps": 12,
    "table1_maze2d": 9,
    "table2_locomotion": 27,
    "warm_start": 8,
    "width": 12,
}
# The cell of each ablation that is the paper's, for the hopper or the U-Maze.
PAPER = {
    "candidates": {"planner.num_candidates": 64},
    "critic_discount": {"critic.target.discount": 0.997},
    "guide_scale": {"guide.scale": 0.0001},
    "guide_steps": {"guide.num_steps": 2},
    "guide_stop": {"guide.t_stopgrad": 4},
    "horizon": {"window.horizon": 32},
    "planning_horizon": {"planner.horizon": 128},
    "prediction_type": {"prediction_type": "sample"},
    "replanning": {"planner.replan_every": 1},
    "scheduler_steps": {"scheduler": "ddpm", "sampler.num_inference_steps": 20},
    "warm_start": {"planner.warm_start_steps": "null"},
    "width": {"backbone.dim": 32},
}

by_name = pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)


def composed(path: Path, **cell):
    register_resolvers()
    sweep = SweepFile.find(str(path))
    overrides = [*sweep.words, *(f"{key}={value}" for key, value in cell.items())]
    if sweep.verb == "plan":
        kind = "waypoint_planner" if path.stem == "planning_horizon" else "guided_planner"
        overrides.append(f"planner={kind}")
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return compose(sweep.verb, overrides=overrides)


@by_name
def test_every_key_and_value_of_a_sweep_composes(path):
    for key, values in SweepFile.find(str(path)).parameters.items():
        for value in values:
            config = composed(path, **{key: value})
            chosen = OmegaConf.select(config, key)
            if OmegaConf.is_config(chosen):
                chosen = chosen.get("name", value)
            assert chosen == (None if value == "null" else value)
            assert config.sweep == path.stem


@by_name
def test_every_value_can_be_typed_by_an_agent_of_wandb(path):
    """An agent writes a YAML null as None and a list with spaces; neither is what Hydra reads back."""
    values = itertools.chain.from_iterable(SweepFile.find(str(path)).parameters.values())
    assert {type(value) for value in values} <= {str, int, float}


@by_name
def test_a_sweep_has_the_keys_of_wandb_and_runs_the_installed_command(path):
    content = yaml.safe_load(path.read_text())
    assert set(content) == {"project", "method", "parameters", "program", "command"}
    assert content["command"][0] == content["program"]
    assert content["command"][-1] == "${args_no_hyphens}"


def test_the_cells_are_counted():
    words = {path.stem: expand_sweep(["-m", f"+sweep={path}"], SweepFile.find(str(path)).verb) for path in SWEEPS}
    grids = {name: [word.count(",") + 1 for word in line if "[" not in word] for name, line in words.items()}
    counts = dict.fromkeys(grids, 1)
    for name, sizes in grids.items():
        for size in sizes:
            counts[name] *= size
    assert counts == NUM_CELLS


@pytest.mark.parametrize("name", PAPER)
def test_one_cell_is_the_paper_s(name):
    parameters = SweepFile.find(name).parameters
    for key, value in PAPER[name].items():
        assert value in parameters[key]


def test_the_paper_s_cells_are_the_defaults():
    """What training sweeps vary has the paper's value where nothing is said."""
    for name in ("critic_discount", "horizon", "prediction_type", "width"):
        ((key, value),) = PAPER[name].items()
        assert OmegaConf.select(composed(SweepFile.find(name).path), key) == value


def test_a_planning_sweep_waits_for_the_agent_s_checkpoint(monkeypatch):
    monkeypatch.delenv("DIFFPLAN_CHECKPOINT", raising=False)
    assert not [word for word in SweepFile.find("warm_start").words if "checkpoint" in word]
    monkeypatch.setenv("DIFFPLAN_CHECKPOINT", "runs/one")
    assert "checkpoint=runs/one" in SweepFile.find("warm_start").words
