import pytest

from diffplan.report.dashboard.dashboard_selection import DashboardSelection
from diffplan.report.dashboard.dashboard_unfinished import unfinished_runs
from diffplan.report.json_lines import JsonLines
from diffplan.report.run_record import EVENTS_FILE, METRICS_FILE

CONFIG = "task: {name: maze2d-umaze-v1}\nname: quick\nsweep: width\nseed: 3\nablation: backbone.dim=8\n"


def states(folder, failure=lambda run_dir: None, **words):
    return [(run.label, run.state) for run in unfinished_runs(folder, DashboardSelection(**words), failure)]


@pytest.fixture
def run_dir(tmp_path):
    run_dir = tmp_path / "task" / "quick" / "seed3"
    run_dir.mkdir(parents=True)
    (run_dir / "config.yaml").write_text(CONFIG)
    return run_dir


def test_a_run_with_a_result_is_finished(tmp_path, run_dir):
    (run_dir / "results.json").write_text("{}")
    assert states(tmp_path) == []


def test_an_interrupted_run_says_how_far_it_came(tmp_path, run_dir):
    JsonLines(run_dir / EVENTS_FILE).append({"event": "start"})
    JsonLines(run_dir / METRICS_FILE).append({"step": 1200, "train/loss": 1.0})
    label = "maze2d-umaze-v1, quick, backbone.dim=8, seed 3"
    assert states(tmp_path) == [(label, "running or interrupted, at step 1,200")]


def test_a_failed_run_says_why(tmp_path, run_dir):
    assert states(tmp_path, lambda folder: f"no GPU in {folder.name}")[0][1] == "no GPU in seed3"


def test_a_run_of_another_sweep_is_not_named(tmp_path, run_dir):
    assert len(states(tmp_path, sweep="width")) == 1
    assert states(tmp_path, sweep="horizon") == []


def test_a_run_that_failed_before_its_config_was_written_is_known_by_hydra_s_notes(tmp_path):
    hydra = tmp_path / "seed0" / ".hydra"
    hydra.mkdir(parents=True)
    (hydra / "config.yaml").write_text("name: quick\nsweep: width\nseed: 0\ntask:\n  name: maze2d-umaze-v1\n")
    (hydra / "overrides.yaml").write_text("- backbone.dim=7\n- seed=0\n")
    assert states(tmp_path, sweep="width") == [("maze2d-umaze-v1, quick, backbone.dim=7,seed=0, seed 0", "not begun")]


def test_a_broken_config_is_no_reason_to_hide_a_run(tmp_path, run_dir):
    (run_dir / "config.yaml").write_bytes(b"\x00: [")
    assert states(tmp_path) == [("a run that says nothing of itself", "not begun")]


def test_folders_of_other_things_are_no_runs(tmp_path):
    for name in ("wandb", "media", "plain"):
        (tmp_path / name / "deeper").mkdir(parents=True)
    (tmp_path / "wandb" / "config.yaml").write_text(CONFIG)
    assert states(tmp_path) == []
