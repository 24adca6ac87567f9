"""Sweeps as they are typed: real processes, tiny settings."""

import json

import pytest


def words(text):
    """Without the padding of tables."""
    return " ".join(text.split())


@pytest.fixture
def sweep_file(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(
        "program: diffplan-train\n"
        "method: grid\n"
        "parameters: {window.horizon: {values: [8, 30]}}\n"
        "command: [diffplan-train, sweep=tiny, '${args_no_hyphens}']\n"
    )
    return path


def test_dry_lists_the_cells_and_writes_nothing(train_command, sweep_file):
    before = set(train_command.folder.rglob("*"))
    result = train_command("--dry", "-m", f"+sweep={sweep_file}", "window.horizon=8,16")
    assert result.returncode == 0, result.stderr
    assert "0 window.horizon=8 missing" in words(result.stdout)
    assert "1 window.horizon=16 missing" in words(result.stdout)
    assert "0 of 2 cells are finished, 2 missing." in result.stdout
    assert set(train_command.folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["+sweep=quickstart_width"], "the sweep quickstart_width has several cells: add -m"),
        (["-m", "+sweep=warm_start"], "is a sweep of plan: type diffplan plan -m +sweep=warm_start"),
        (["-m", "+sweep=widht"], "there is no sweep 'widht'; did you mean 'width'?"),
        (["--dry", "-m", "hydra/sweeper=optuna"], "hydra/sweeper=optuna chooses each cell after the previous ones"),
    ],
)
def test_a_mistake_about_sweeps_is_one_sentence(train_command, flags, sentence):
    result = train_command(*flags)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("diffplan train: ")
    assert sentence in line


@pytest.mark.slow
def test_a_sweep_with_a_failing_cell_finishes_the_others_and_says_so_later(train_command, sweep_file):
    # The tiny settings name a horizon, and what is typed beats the file.
    command = ("-m", f"+sweep={sweep_file}", "window.horizon=8,30")
    first = train_command(*command)
    assert first.returncode == 1
    assert "1 of 2 cells finished; the same command runs the 1 that are missing" in first.stderr
    assert "failed: window.horizon=30: horizon=30 does not fit a U-Net of 3 levels" in first.stderr
    assert "Traceback" not in first.stderr
    listed = words(train_command("--dry", *command).stdout)
    assert "1 of 2 cells are finished, 1 failed. The finished cells took" in listed
    assert "0 window.horizon=8 finished" in listed
    assert "1 window.horizon=30 failed - - cell 1 failed: horizon=30 does not fit" in listed
    result = json.loads(next(train_command.folder.glob("runs/*/*/*/results.json")).read_text())
    assert result["sweep"] == "tiny"
    assert result["ablation"].count("sweep") == 0
    by_hand = train_command("window.horizon=8")
    assert "this run is finished" in by_hand.stdout


@pytest.mark.slow
def test_what_no_user_did_wrong_is_noted_with_its_traceback_in_the_log(train_command):
    result = train_command("-m", "seed=0", "+callbacks.broken._target_=builtins.int", "+callbacks.broken.x=one")
    assert result.returncode == 1
    assert "0 of 1 cells finished" in result.stderr
    (note,) = train_command.folder.glob("runs/*/*/*/failure.txt")
    assert "Traceback" not in note.read_text()


def test_an_objective_that_is_no_metric_names_the_nearest():
    from diffplan.cli.command import _objective
    from diffplan.errors import ConfigError

    metrics = {"eval/multi2d/return_mean": 2.0}
    assert _objective(metrics, None) == metrics
    assert _objective(metrics, "eval/multi2d/return_mean") == 2.0
    with pytest.raises(ConfigError, match="did you mean 'eval/multi2d/return_mean'"):
        _objective(metrics, "eval/multi2d/return_men")
