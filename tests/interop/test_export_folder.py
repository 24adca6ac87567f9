import pytest

from diffplan.errors import CheckpointError, TaskMismatchError
from diffplan.interop.diffuser_pipeline import DiffuserPipeline
from diffplan.interop.export_folder import exported_pipeline, why_not_theirs, write_export
from diffplan.interop.trajectory_format import TrajectoryFormat


def test_an_export_takes_the_place_of_an_export_alone(make_pipeline, tmp_path):
    folder = tmp_path / "there" / "model"
    write_export(make_pipeline(), "first", folder)
    write_export(make_pipeline(maze=True), "second", folder)
    assert (folder / "README.md").read_text() == "second"
    assert not (folder / "value_function").exists()
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").touch()
    with pytest.raises(CheckpointError, match="notes holds something else"):
        write_export(make_pipeline(), "third", tmp_path / "notes")
    assert [path.name for path in (tmp_path / "notes").iterdir()] == ["mine.txt"]


def test_an_export_that_fails_half_way_leaves_what_was_there(make_pipeline, tmp_path, monkeypatch):
    write_export(make_pipeline(), "first", tmp_path / "model")

    def break_off(self, folder):
        (folder / "unet").mkdir()
        raise OSError("disk full")

    monkeypatch.setattr(DiffuserPipeline, "save_pretrained", break_off)
    for place in ("model", "new"):
        with pytest.raises(CheckpointError, match="disk full"):
            write_export(make_pipeline(), "second", tmp_path / place)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model" / "README.md").read_text() == "first"


def test_a_critic_of_other_plans_is_not_exported(make_model, make_critic):
    model = make_model()
    critic = make_critic(model)
    object.__setattr__(critic, "stride", 4)
    with pytest.raises(TaskMismatchError, match="stride=1"):
        exported_pipeline(model, critic, TrajectoryFormat.of_model(model, critic.target))


def test_who_cannot_load_it_is_said(make_model, make_critic):
    model = make_model()
    assert why_not_theirs(model, make_critic(model)) is None
    assert "has none" in why_not_theirs(model, None)
    attentive = make_model(attention=True)
    assert "attention" in why_not_theirs(attentive, make_critic(attentive))
