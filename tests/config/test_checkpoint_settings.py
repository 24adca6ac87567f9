import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from diffplan.config.checkpoint_settings import checkpoint_settings, planning_settings
from diffplan.config.parts import with_targets
from diffplan.config.settings import FROM_CHECKPOINT
from diffplan.errors import CheckpointError, DiffplanError

FIRST = Path(__file__).parents[1] / "golden" / "first_format" / "checkpoints" / "last.ckpt"


def test_the_settings_of_a_checkpoint_are_read_without_torch():
    expected = with_targets(torch.load(FIRST, weights_only=True)["diffplan"]["config"])
    assert checkpoint_settings(FIRST) == expected
    program = (
        "import sys; from pathlib import Path; from diffplan.config.checkpoint_settings import checkpoint_settings;"
        f"assert checkpoint_settings(Path({str(FIRST)!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


@pytest.mark.parametrize("content", [b"", b"no archive", FIRST.read_bytes()[:2000]])
def test_a_file_that_is_no_checkpoint_has_none(content, tmp_path):
    (tmp_path / "last.ckpt").write_bytes(content)
    with pytest.raises(CheckpointError, match="is truncated or not a checkpoint"):
        checkpoint_settings(tmp_path / "last.ckpt")


def test_a_checkpoint_of_another_project_has_none(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match="is no checkpoint of diffplan"):
        checkpoint_settings(tmp_path / "last.ckpt")


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Attack:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "touched",))

    torch.save({"diffplan": {"config": {"seed": 1, "attack": Attack()}}}, tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match=r"config\.attack must be"):
        checkpoint_settings(tmp_path / "last.ckpt")
    assert not (tmp_path / "touched").exists()


@pytest.fixture
def trained() -> dict:
    return checkpoint_settings(FIRST)


@pytest.fixture
def save(tmp_path):
    def write(config: object) -> Path:
        torch.save({"diffplan": {"config": config}}, tmp_path / "last.ckpt")
        return tmp_path / "last.ckpt"

    return write


def test_what_planning_takes_is_named_by_this_package(trained):
    taken = planning_settings(trained)
    assert taken["task"]["_target_"] == "diffplan.config.task.Task"
    assert taken["scheduler"]["_target_"] == "diffusers.DDPMScheduler"
    assert (taken["name"], taken["seed"], taken["prediction_type"]) == ("first_format", 0, "sample")
    assert taken.keys() == set(FROM_CHECKPOINT)


@pytest.mark.parametrize("key", ["name", "seed", "task", "scheduler"])
@pytest.mark.parametrize("value", [None, "${oc.env:HOME}", "a$b", "\x1b[2J", "[red]", "../x", {}, [], -1, 0.5, True])
def test_a_wrong_setting_that_planning_takes_is_refused(trained, key, value):
    with pytest.raises(DiffplanError, match=f"{key}|asks for None"):
        planning_settings({**trained, key: value})


@pytest.mark.parametrize(
    ("group", "key", "value"),
    [
        ("task", "env_id", "${oc.env:HOME}"),
        ("task", "protocols", ["single_task", "???"]),
        ("task", "observation_dim", 0),
        ("task", "paper_scores", {"single_task": ["high"]}),
        ("task", "reference_max", -1e9),
        ("task", "_args_", ["x"]),
        ("scheduler", "num_train_timesteps", None),
        ("scheduler", "beta_schedule", {"_target_": "builtins.open"}),
        ("scheduler", "prediction_type", "noise"),
    ],
)
def test_a_wrong_fact_of_task_or_scheduler_is_refused(trained, group, key, value):
    with pytest.raises(DiffplanError):
        planning_settings({**trained, group: {**trained[group], key: value}})


@pytest.mark.parametrize("key", ["num_train_timesteps", "prediction_type"])
def test_a_scheduler_must_say_what_its_network_was_trained_for(trained, key):
    del trained["scheduler"][key]
    with pytest.raises(CheckpointError, match=f"scheduler lacks the setting '{key}'"):
        planning_settings(trained)


def test_an_unknown_setting_and_a_group_that_is_none_are_refused(trained):
    with pytest.raises(CheckpointError, match="there is no setting 'plannr'; did you mean 'planner'"):
        planning_settings({**trained, "plannr": {}})
    with pytest.raises(CheckpointError, match="planner must be a group of settings, got 'fast'"):
        planning_settings({**trained, "planner": "fast"})


@pytest.mark.parametrize("config", [None, [], "text", {"name": "${x}"}, {"module": 3, "datamodule": {}}])
def test_a_wrong_config_is_one_sentence_with_the_file(config, save):
    path = save(config)
    with pytest.raises(CheckpointError, match=f"^{path} cannot be used") as error:
        checkpoint_settings(path)
    assert "\n" not in str(error.value)


@pytest.mark.timeout(20)
def test_a_pickle_that_claims_a_huge_memory_takes_none(tmp_path):
    with zipfile.ZipFile(tmp_path / "last.ckpt", "w") as archive:
        # Stores an object under number 2,147,483,647.
        archive.writestr("last/data.pkl", b"\x80\x02}r\xff\xff\xff\x7f.")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError, match="is no checkpoint of diffplan"):
        checkpoint_settings(tmp_path / "last.ckpt")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
