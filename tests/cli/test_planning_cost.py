import json

import pytest
from hydra import compose, initialize_config_dir

from diffplan.cli.plan import build_planner
from diffplan.cli.planning_cost import planning_costs
from diffplan.config.paths import CONF_DIR
from diffplan.config.resolvers import register_resolvers
from diffplan.sweep.cell import Cell


def cell(run_dir, *overrides, state="missing", folder="plans/one"):
    register_resolvers()
    words = [f"checkpoint={run_dir}", f"paths.run_dir={run_dir}/{folder}", "device=cpu", *overrides]
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return Cell(tuple(overrides), compose("plan", overrides=words), state)


@pytest.mark.slow
def test_a_plan_an_episode_is_counted_as_the_evaluation_counts_it(train_command):
    assert train_command().returncode == 0
    (run_dir,) = train_command.run_dirs
    result = json.loads((run_dir / "results.json").read_text())
    played = result["protocols"]
    flops = sum(p["decision_gflop"] * 1e9 * sum(p["lengths"]) for p in played.values())
    episodes = len(played["single_task"]["seeds"])
    one, twice, wrong = planning_costs(
        [
            cell(run_dir, f"num_episodes={episodes}"),
            cell(run_dir, f"num_episodes={2 * episodes}", "protocols=[multi2d]"),
            cell(run_dir, "planner.horizon=30"),
        ],
        build_planner,
    )
    # Episodes that are played side by side share the embedding of the timestep.
    assert one.flops == pytest.approx(flops, rel=0.02)
    assert twice.flops == one.flops
    assert wrong is None
