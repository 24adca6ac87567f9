import pytest

from diffplan.errors import ResultError
from diffplan.report.results import FoundResults, RunSelection
from diffplan.report.run_record import EVENTS_FILE, METRICS_FILE, JsonLines
from diffplan.report.sweep_content import SweepContent, unfinished_runs
from tests.report.conftest import VERSIONS, stored


def content(*results, skipped=(), unfinished=(), **words):
    found = FoundResults(list(results), list(skipped))
    return SweepContent.of(found, RunSelection(**words), unfinished)


def test_only_what_was_asked_for_is_shown_and_what_was_skipped_is_kept():
    found = content(stored(sweep="a"), stored(sweep="b"), skipped=[("x.json", "broken")], sweep="a")
    assert [one.result.sweep for one in found.results] == ["a"]
    assert found.skipped == [("x.json", "broken")]


def test_asking_for_nothing_that_is_there_names_what_is():
    with pytest.raises(ResultError, match=r"for sweep c; there are the sweeps a, b and the names diffuser\.$"):
        content(stored(sweep="a"), stored(sweep="b"), sweep="c")
    with pytest.raises(ResultError, match="no result lies there at all"):
        content()


def test_data_that_is_not_d4rl_s_is_said_to_be_no_d4rl_result():
    data = {"name": "maze2d-umaze-v1", "kind": "regenerated", "sha256": "bb", "num_transitions": 5000}
    made = content(stored(data=data))
    assert made.data_texts == ["maze2d-umaze-v1, 5,000 transitions of regenerated data: not a D4RL result"]
    assert not made.is_d4rl
    assert content(stored()).is_d4rl


def test_cells_on_other_versions_are_named():
    found = content(stored(), stored(settings={"backbone.dim": 8}, versions=VERSIONS | {"torch": "2.9.0"}))
    assert found.differences == ["Runs of maze2d-umaze-v1 differ in versions: torch 2.13.0 / 2.9.0."]
    assert len(found.versions) == 2


def test_each_command_is_shown_once(tmp_path):
    runs = []
    for seed in (0, 1):
        words = ["/somewhere/bin/diffplan-train", "-m", "seed=0,1", "name=a b"]
        JsonLines(tmp_path / f"seed{seed}" / EVENTS_FILE).append({"event": "start", "command": words})
        runs.append(stored(seed=seed, source=str(tmp_path / f"seed{seed}" / "results.json")))
    assert content(*runs).commands() == ["diffplan-train -m seed=0,1 'name=a b'"]


CONFIG = "task: {name: maze2d-umaze-v1}\nname: quick\nsweep: width\nseed: 3\nablation: backbone.dim=8\n"


def states(folder, failure=lambda run_dir: None, **words):
    return [(run.label, run.state) for run in unfinished_runs(folder, RunSelection(**words), failure)]


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


def test_tasks_and_protocols_have_boards_of_their_own_the_single_task_first():
    runs = [stored(task=task, source=task) for task in ("maze2d-large-v1", "maze2d-umaze-v1")]
    assert [board.title for board in content(*runs).boards] == [
        "maze2d-large-v1, Single task", "maze2d-large-v1, Multi2D",
        "maze2d-umaze-v1, Single task", "maze2d-umaze-v1, Multi2D",
    ]  # fmt: skip
