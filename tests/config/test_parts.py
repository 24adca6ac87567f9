"""Parts keep their names wherever their code lies, and the first names that hashes were made of."""

import pytest
import yaml

from diffplan.config.parts import part_targets, targets_of_group, with_first_names, with_part_names, with_targets
from diffplan.config.paths import CONF_DIR

# As the first runs were written.
FIRST = {
    "backbone/temporal_unet": "diffplan.backbone.temporal_unet.TemporalUnet",
    "loss/value_loss": "diffplan.loss.value_loss.ValueLoss",
    "sampler/mean_shift_sampler": "diffplan.sampler.mean_shift_sampler.MeanShiftSampler",
    "datamodule/trajectory_data_module": "diffplan.datamodule.trajectory_data_module.TrajectoryDataModule",
    "source/d4rl_source": "diffplan.source.d4rl_source.D4RLSource",
    "average/exponential_moving_average": "diffplan.module.exponential_moving_average.ExponentialMovingAverage",
    "critic/return_target": "diffplan.return_target.ReturnTarget",
    "body/task": "diffplan.task.Task",
    "scheduler/ddpm": "diffusers.DDPMScheduler",
    "optimizer/adam": "torch.optim.Adam",
}


def targets(node) -> set[str]:
    if isinstance(node, list):
        return {target for item in node for target in targets(item)}
    if not isinstance(node, dict):
        return set()
    own = {node["_target_"]} if "_target_" in node else set()
    return own | {target for value in node.values() for target in targets(value)}


def test_every_class_of_the_configuration_is_a_part():
    in_files = {target for path in CONF_DIR.glob("*/*.yaml") for target in targets(yaml.safe_load(path.read_text()))}
    assert set(part_targets().values()) == in_files


def test_no_two_classes_of_this_package_share_a_name():
    own = {target for target in part_targets().values() if target.startswith("diffplan.")}
    assert len({target.rpartition(".")[2] for target in own}) == len(own)


@pytest.mark.parametrize("name", FIRST)
def test_a_part_is_known_by_its_name_its_path_and_its_first_path(name):
    present = {"_target_": part_targets()[name]}
    assert with_part_names(present) == {"_part_": name}
    for written in (present, {"_part_": name}, {"_target_": FIRST[name]}):
        assert with_targets(written) == present
        assert with_first_names(written) == {"_target_": FIRST[name]}


def test_parts_are_renamed_wherever_they_stand_and_settings_kept():
    nested = {"sampler": {"_target_": part_targets()["sampler/unguided_sampler"], "steps": [1, {"a": None}]}, "x": 2}
    assert with_part_names(nested) == {
        "sampler": {"_part_": "sampler/unguided_sampler", "steps": [1, {"a": None}]},
        "x": 2,
    }


@pytest.mark.parametrize(
    "target", ["os.system", "diffplan.training.torch.save", "diffusers.PNDMScheduler", "mine.Unet"]
)
def test_what_no_yaml_offers_keeps_its_name(target):
    node = {"_target_": target}
    assert with_part_names(node) == with_targets(node) == with_first_names(node) == node


def test_a_group_offers_its_own_classes_only():
    assert targets_of_group("conditioning") == {
        "diffplan.method.conditioning.FirstState", "diffplan.method.conditioning.StartAndGoal",
    }  # fmt: skip
