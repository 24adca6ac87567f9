import shlex

import pytest
import yaml

from diffplan.errors import CheckpointError
from diffplan.interop.model_card import TrainingRecipe
from tests.interop.test_model_card import scored


def run_of(folder, text: str):
    (folder / ".hydra").mkdir()
    (folder / ".hydra" / "overrides.yaml").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("experiment=quickstart", "experiment=quickstart"),
        ("source.path=/data/of mine/hopper.hdf5", "source.path=hopper.hdf5"),
        ("source.path='/data/a b/hopper.hdf5'", "source.path='hopper.hdf5'"),
        ("files=[/a/b.h5,~/c/d.h5]", "files=[b.h5,d.h5]"),
        ("source.path=C:\\data\\hopper.hdf5", "source.path=hopper.hdf5"),
        ("critic.path=outputs/hopper/critic", "critic.path=outputs/hopper/critic"),
        ("hydra/launcher=slurm", "hydra/launcher=slurm"),
    ],
)
def test_the_command_is_told_without_the_folders_of_a_machine(tmp_path, override, told):
    folder = run_of(tmp_path, yaml.safe_dump([override, "seed=3", "paths.output_dir=/mnt/x"]))
    recipe = TrainingRecipe.of_run(folder, 10, 3, None)
    assert shlex.split(recipe.command) == ["diffplan-train", told, "seed=3"]


def test_cost_commit_and_versions_are_the_result_s(tmp_path):
    versions = {"diffplan": "0.1.0", "commit": "abc", "torch": "2.0"}
    cost = {"critic_cpu_seconds": 60.0, "critic_seconds": 70.0, "train_cpu_seconds": 120.0}
    result = scored().model_copy(update={"versions": versions, "cost": cost})
    facts = TrainingRecipe.of_run(run_of(tmp_path, "[seed=3]"), 1234, 3, result).facts()
    assert facts == {
        "trained by": "`diffplan-train seed=3`",
        "steps and seed": "1,234 steps of the denoiser, seed 3",
        "cost of training": "3 CPU minutes",
        "commit": "abc",
        "versions": "diffplan 0.1.0, torch 2.0",
    }


def test_what_a_run_has_not_left_is_left_out(tmp_path):
    assert TrainingRecipe.of_run(tmp_path, 5, 0, None).facts() == {"steps and seed": "5 steps of the denoiser, seed 0"}


@pytest.mark.parametrize("text", ["{", "seed: 3", "[1, 2]"])
def test_a_broken_record_is_refused(tmp_path, text):
    with pytest.raises(CheckpointError, match=r"overrides\.yaml cannot be told in the model card"):
        TrainingRecipe.of_run(run_of(tmp_path, text), 5, 0, None)
