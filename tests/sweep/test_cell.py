import pytest
from filelock import FileLock
from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from diffplan.errors import CheckpointError
from diffplan.sweep.cell import (
    Cell,
    State,
    look_at_cell,
    read_failure_note,
    remove_failure_note,
    words_of_cells,
    write_failure_note,
)


def look(run_dir, is_finished=lambda config: False):
    before = HydraConfig.instance().cfg
    composed = OmegaConf.create({"paths": {"run_dir": str(run_dir)}, "hydra": HydraConf()})
    cell = look_at_cell(("seed=0",), composed, is_finished)
    assert HydraConfig.instance().cfg is before
    return cell


def test_a_cell_that_nobody_began_is_missing(tmp_path):
    cell = look(tmp_path / "run")
    assert (cell.state, cell.run_dir) == ("missing", tmp_path / "run")
    assert "hydra" not in cell.config
    assert not (tmp_path / "run").exists()


def test_a_cell_with_a_checkpoint_is_interrupted(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "critic.ckpt").touch()
    assert look(tmp_path).state == "interrupted"


def test_a_failure_is_said_with_its_reason_until_the_run_is_finished(tmp_path):
    write_failure_note(tmp_path, "no data.")
    cell = look(tmp_path)
    assert (cell.state, cell.reason) == ("failed", "no data.")
    assert look(tmp_path, lambda config: True).state == "finished"


def test_a_cell_whose_folder_is_locked_is_running_and_the_lock_is_left_alone(tmp_path):
    with FileLock(tmp_path / ".lock"):
        assert look(tmp_path, lambda config: True).state == "running"
        assert look(tmp_path).state == "running"
    assert look(tmp_path).state == "missing"


def test_a_cell_that_cannot_be_judged_has_failed(tmp_path):
    def judge(config):
        raise CheckpointError("there is no checkpoint at nowhere.")

    cell = look(tmp_path, judge)
    assert (cell.state, cell.reason, cell.config) == ("failed", "there is no checkpoint at nowhere.", None)


@pytest.mark.parametrize(
    ("cells", "common", "own"),
    [
        ([("a=1", "b=2"), ("a=1", "b=3")], "a=1", ["b=2", "b=3"]),
        ([("a=1", "b=2")], "", ["a=1 b=2"]),
        ([], "", []),
    ],
)
def test_words_that_all_cells_share_are_said_once(cells, common, own):
    assert words_of_cells([Cell(words, None, State.MISSING) for words in cells]) == (common, own)


def test_a_reason_is_left_read_and_removed(tmp_path):
    assert read_failure_note(tmp_path) is None
    write_failure_note(tmp_path, "no data.")
    assert read_failure_note(tmp_path) == "no data."
    remove_failure_note(tmp_path)
    remove_failure_note(tmp_path)
    assert read_failure_note(tmp_path) is None


def test_a_folder_that_was_never_made_is_not_made_for_a_note(tmp_path):
    write_failure_note(tmp_path / "runs", "no data.")
    assert not (tmp_path / "runs").exists()
