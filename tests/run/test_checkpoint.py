import copy
import os
import pickle
import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from diffplan.config.checkpoint_settings import planning_settings
from diffplan.config.parts import with_first_names
from diffplan.config.paths import CONF_DIR
from diffplan.config.resolvers import register_resolvers
from diffplan.errors import CheckpointError
from diffplan.run.checkpoint import (
    build_model,
    checkpoint_origin,
    checkpoint_weights,
    load_critic,
    load_model,
    read_checkpoint,
)
from diffplan.training.modules import DiffuserModule

DATA = {"name": "maze2d-umaze-v1", "kind": "regenerated", "sha256": "0" * 64, "num_transitions": 3000}


@pytest.fixture(scope="session")
def composed() -> dict:
    register_resolvers()
    overrides = [
        "experiment=quickstart", "logger=csv_logger", "backbone.dim=8", "backbone.dim_multipliers=[1,2]",
        "task.diffusion_steps=4", "window.horizon=8",
    ]  # fmt: skip
    with initialize_config_dir(str(CONF_DIR), version_base=None):
        config = compose("train", overrides)
    # The names of run folders come from Hydra's own settings, which only a command has.
    parts = (
        "backbone",
        "normalizer",
        "scheduler",
        "conditioning",
        "datamodule",
        "module",
        "optimizer",
        "critic",
        "task",
    )
    return {key: OmegaConf.to_container(config[key], resolve=True) for key in parts}


@pytest.fixture
def config(composed) -> dict:
    return copy.deepcopy(composed)


@pytest.fixture
def module(config) -> DiffuserModule:
    """With statistics and an average that differ from those of a fresh module."""
    torch.manual_seed(0)
    module = instantiate(OmegaConf.create(config["module"]))(build_model(config))
    module.normalizer.fit(np.array([[0.5, 0.5, -5.0, -5.0], [3.5, 3.5, 5.0, 5.0]], dtype=np.float32))
    for parameter in module.average.parameters():
        parameter.data.mul_(0.5)
    return module


@pytest.fixture
def checkpoint(config, module) -> dict:
    """What a training run writes, as far as it is read here."""
    return {
        "state_dict": module.state_dict(),
        "global_step": 3,
        "diffplan": checkpoint_origin(config, DATA),
    }


@pytest.fixture
def save(tmp_path):
    def write(content: object, name: str = "last.ckpt") -> Path:
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return write


def one_sentence(error: pytest.ExceptionInfo) -> str:
    """The message, after checking that it is a single line a person can read."""
    message = str(error.value)
    assert "\n" not in message
    assert message.endswith(".")
    assert len(message) < 400
    return message


class Touch:
    """Pickled, this creates a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_model_is_rebuilt_from_its_path_alone(save, checkpoint, module):
    rebuilt, original = load_model(save(checkpoint)), module.model()
    assert not rebuilt.backbone.training
    trajectories, timesteps = torch.randn(2, 8, 4), torch.tensor([0, 3])
    assert torch.equal(rebuilt.backbone(trajectories, timesteps), original.backbone(trajectories, timesteps))
    assert rebuilt.normalizer.offset.tolist() == [2.0, 2.0, 0.0, 0.0]
    assert (rebuilt.horizon, rebuilt.stride) == (8, 4)
    assert type(rebuilt.scheduler) is type(original.scheduler)


def test_parts_are_named_by_their_yamls_with_a_format_number(checkpoint):
    origin = checkpoint["diffplan"]
    assert origin["format"] == 2
    assert origin["config"]["backbone"]["_part_"] == "backbone/temporal_unet"
    assert origin["config"]["scheduler"]["_part_"] == "scheduler/ddpm"
    assert origin["config"]["optimizer"]["_part_"] == "optimizer/adam"
    assert "_target_" not in repr(origin)
    assert "diffplan." not in repr(origin["config"])


def test_a_model_s_state_is_what_its_training_module_writes(checkpoint, module):
    written = checkpoint_weights(module.model(), module.backbone.state_dict())
    assert written.keys() == checkpoint["state_dict"].keys()
    assert all(torch.equal(value, checkpoint["state_dict"][key]) for key, value in written.items())


def test_the_first_format_named_parts_by_the_paths_they_had(save, checkpoint, config):
    first = with_first_names(config)
    assert first["backbone"]["_target_"] == "diffplan.backbone.temporal_unet.TemporalUnet"
    checkpoint["diffplan"] = {"version": "0.1.0", "config": first, "data": DATA}
    path = save(checkpoint)
    assert load_model(path).normalizer.offset.tolist() == [2.0, 2.0, 0.0, 0.0]
    assert read_checkpoint(path)["diffplan"]["config"] == config


def test_a_later_format_is_refused(save, checkpoint):
    checkpoint["diffplan"]["format"] = 3
    with pytest.raises(CheckpointError, match="format 3, but this version reads formats up to 2") as error:
        load_model(save(checkpoint))
    one_sentence(error)


def test_reading_and_rebuilding_needs_no_lightning_and_no_hydra(save, checkpoint):
    code = (
        "import sys; from diffplan.run.checkpoint import load_model; load_model(sys.argv[1]); "
        "print(*{'lightning', 'hydra', 'omegaconf', 'wandb', 'gymnasium'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, str(save(checkpoint))]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "\n"


@pytest.mark.slow
def test_what_a_training_run_writes_is_rebuilt_with_weights_and_statistics(tmp_path):
    settings = [
        "experiment=quickstart", "logger=csv_logger", "trainer=cpu", "trainer.max_steps=3", "backbone.dim=8",
        "source.num_transitions=3000", "callbacks.rollout.num_final_episodes=1", "callbacks.rollout.num_videos=0",
        f"paths.output_dir={tmp_path}/outputs", f"paths.data_dir={tmp_path}/datasets",
    ]  # fmt: skip
    subprocess.run(
        [sys.executable, "-m", "diffplan.cli.train", *settings], check=True, capture_output=True, cwd=tmp_path
    )
    (path,) = tmp_path.rglob("last.ckpt")
    model, written = load_model(path), read_checkpoint(path)
    assert written["global_step"] == 3
    for key, value in model.backbone.state_dict().items():
        assert torch.equal(value, written["state_dict"][f"average.average.{key}"])
    # The U-Maze reaches from about 0.4 to 3.6 metres.
    assert ((model.normalizer.scale[:2] > 0.5) & (model.normalizer.scale[:2] < 2.0)).all()
    assert model.backbone(torch.zeros(1, 32, 4), torch.tensor([0])).isfinite().all()


def test_its_config_is_the_one_it_was_trained_with(save, checkpoint, config):
    assert read_checkpoint(save(checkpoint))["diffplan"]["config"] == config


def test_a_compiled_model_s_checkpoint_is_loaded_without_compiling(save, checkpoint):
    checkpoint["diffplan"]["config"]["module"]["compile"] = True
    assert load_model(save(checkpoint)).backbone._compiled_call_impl is None


def test_the_file_may_be_replaced_while_its_model_is_in_use(save, checkpoint):
    path = save(checkpoint)
    rebuilt = load_model(path)
    before = rebuilt.backbone.head[1].weight.clone()
    path.write_bytes(b"0" * path.stat().st_size)
    assert torch.equal(rebuilt.backbone.head[1].weight, before)


def test_a_pickled_payload_is_refused_and_not_executed(save, checkpoint, tmp_path):
    path = save({**checkpoint, "extra": Touch(tmp_path / "executed")})
    with pytest.raises(CheckpointError, match=r"holds pickled code \(posix.mkdir\) and is not loaded") as error:
        load_model(path)
    one_sentence(error)
    assert not (tmp_path / "executed").exists()
    # The payload is live: read carelessly, it runs.
    torch.load(path, weights_only=False)
    assert (tmp_path / "executed").exists()


def test_a_bare_pickle_is_refused_and_not_executed(tmp_path):
    path = tmp_path / "last.ckpt"
    path.write_bytes(pickle.dumps(Touch(tmp_path / "executed")))
    with pytest.raises(CheckpointError) as error:
        read_checkpoint(path)
    one_sentence(error)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(save, checkpoint, share):
    path = save(checkpoint)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match="is truncated or not a checkpoint") as error:
        read_checkpoint(path)
    assert str(path) in one_sentence(error)


@pytest.mark.parametrize(
    ("name", "content"),
    [("plan.txt", b"hello\n"), ("data.hdf5", b"\x89HDF\r\n\x1a\n" + b"\0" * 500), ("empty.ckpt", b"")],
)
def test_another_kind_of_file_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match="is truncated or not a checkpoint") as error:
        load_model(tmp_path / name)
    one_sentence(error)


@pytest.mark.parametrize("content", [{"state_dict": {}}, {"diffplan": {}}, [1, 2], torch.zeros(3)])
def test_a_checkpoint_of_something_else_is_refused(save, content):
    with pytest.raises(CheckpointError, match="is no checkpoint of diffplan") as error:
        load_model(save(content))
    one_sentence(error)


def test_no_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "missing.ckpt", tmp_path):
        with pytest.raises(CheckpointError, match=re.escape(f"there is no checkpoint at {path}")) as error:
            load_model(path)
        one_sentence(error)


FOREIGN = [
    "os.mkdir",
    "builtins.eval",
    # Every module reaches others through its own imports.
    "diffplan.method.network.temporal_unet.torch.save",
    "diffplan.training.modules.torch.hub.load",
    "diffusers.utils.import_utils.importlib.import_module",
    "diffusers.DDPMScheduler.from_pretrained",
    "torch.optim.adam.torch.save",
    "torch.optim.Adam",
    "diffplan.training.modules.nn.Linear",
    "diffplan.method.network.nowhere.Network",
    "lightning.Trainer",
]


@pytest.mark.parametrize("target", FOREIGN)
@pytest.mark.parametrize("key", ["backbone", "scheduler", "conditioning", "normalizer"])
def test_a_config_that_asks_for_anything_but_our_own_parts_is_refused(save, checkpoint, tmp_path, target, key):
    arguments = [{"executed": True}, str(tmp_path / "executed")]
    checkpoint["diffplan"]["config"][key] = {"_target_": target, "_args_": arguments}
    with pytest.raises(CheckpointError, match=f"asks for '{re.escape(target)}' to be called") as error:
        load_model(save(checkpoint))
    one_sentence(error)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "name", ["backbone/nothing", "os.mkdir", "../backbone/temporal_unet", "normalizer/limits_normalizer"]
)
def test_a_name_that_is_no_part_of_its_group_is_refused(save, checkpoint, name):
    checkpoint["diffplan"]["config"]["backbone"] = {"_part_": name}
    with pytest.raises(CheckpointError, match="which is no part of a model"):
        load_model(save(checkpoint))


def test_a_part_inside_a_part_is_not_built(save, checkpoint, tmp_path):
    checkpoint["diffplan"]["config"]["backbone"]["dim"] = {"_target_": "os.mkdir", "path": str(tmp_path / "executed")}
    with pytest.raises(CheckpointError, match=r"asks for 'os\.mkdir' to be called"):
        load_model(save(checkpoint))
    assert not (tmp_path / "executed").exists()


def test_a_critic_is_no_denoiser(save, checkpoint):
    config = checkpoint["diffplan"]["config"]
    config["backbone"] = {
        "_part_": "backbone/value_unet",
        "transition_dim": 4,
        "horizon": 8,
        "dim": 8,
        "dim_multipliers": [1, 8],
    }
    with pytest.raises(CheckpointError, match="ValueUnet is no denoiser"):
        load_model(save(checkpoint))
    with pytest.raises(CheckpointError, match="holds a denoiser where a critic is needed"):
        load_critic(save(checkpoint))


def test_a_scheduler_of_diffusers_without_a_yaml_is_built(save, checkpoint):
    checkpoint["diffplan"]["config"]["scheduler"] = {
        "_target_": "diffusers.DDPMScheduler",
        "num_train_timesteps": 4,
        "prediction_type": "sample",
    }
    assert load_model(save(checkpoint)).scheduler.config.num_train_timesteps == 4


@pytest.mark.parametrize("part", ["scheduler", "task"])
@pytest.mark.parametrize("inside", [False, True])
def test_nothing_foreign_is_built_for_planning_either(save, checkpoint, part, inside):
    foreign = {"_target_": "os.system", "command": "true"}
    config = checkpoint["diffplan"]["config"]
    config[part] = {**config[part], "extra": [foreign]} if inside else foreign
    read = read_checkpoint(save(checkpoint))
    with pytest.raises(CheckpointError, match=r"asks for 'os\.system' to be called"):
        planning_settings(read["diffplan"]["config"])


def test_weights_of_another_architecture_are_refused(save, checkpoint):
    checkpoint["diffplan"]["config"]["backbone"]["dim"] = 16
    with pytest.raises(CheckpointError, match=r"last\.ckpt .* its weights do not fit its config") as error:
        load_model(save(checkpoint))
    one_sentence(error)


@pytest.mark.parametrize("broken", [{}, {"config": {}}, {"config": {"backbone": {"_target_": None}}}, {"config": 3}])
def test_a_checkpoint_without_a_usable_config_is_refused(save, checkpoint, broken):
    checkpoint["diffplan"] = broken
    with pytest.raises(CheckpointError) as error:
        load_model(save(checkpoint))
    one_sentence(error)


ENTRIES = {
    "global_step": [None, -1, 1.5, "3", True, 10**30, torch.tensor(3), [3]],
    "state_dict": [None, [], "weights", {"a": 1}, {1: torch.ones(1)}, {"a": torch.ones(2).to_sparse()}],
    "diffplan": [None, [], {}, "x"],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in ENTRIES.items() for value in values])
def test_a_wrong_entry_of_a_checkpoint_is_one_sentence(save, checkpoint, key, value):
    with pytest.raises(CheckpointError, match=r"last\.ckpt") as error:
        load_model(save(checkpoint | {key: value}))
    one_sentence(error)


@pytest.mark.parametrize("key", ["global_step", "state_dict", "diffplan"])
def test_a_missing_entry_of_a_checkpoint_is_one_sentence(save, checkpoint, key):
    del checkpoint[key]
    with pytest.raises(CheckpointError, match=r"last\.ckpt") as error:
        load_model(save(checkpoint))
    one_sentence(error)


@pytest.mark.parametrize("key", ["name", "kind", "sha256", "num_transitions"])
@pytest.mark.parametrize("value", [None, "${oc.env:HOME}", "\x1b[2J", [], {"_target_": "os.system"}, float("nan")])
def test_a_wrong_identity_of_the_data_is_one_sentence(save, checkpoint, key, value):
    checkpoint["diffplan"]["data"] = {**DATA, key: value}
    with pytest.raises(CheckpointError, match=rf"cannot be used: data\.{key} must") as error:
        read_checkpoint(save(checkpoint))
    one_sentence(error)


@pytest.mark.parametrize("number", [None, "2", [], 1.0, torch.tensor([1, 2]), 0])
def test_a_format_that_is_no_known_number_is_refused(save, checkpoint, number):
    checkpoint["diffplan"]["format"] = number
    with pytest.raises(CheckpointError, match="this version reads formats up to 2") as error:
        read_checkpoint(save(checkpoint))
    one_sentence(error)


@pytest.mark.parametrize("place", ["name", "extra"])
def test_text_that_would_be_resolved_is_refused_wherever_it_stands(save, checkpoint, place):
    checkpoint["diffplan"]["config"]["critic"] = {place: ["${oc.env:HOME}"]}
    with pytest.raises(CheckpointError, match=rf"config\.critic\.{place} must be short printable text") as error:
        read_checkpoint(save(checkpoint))
    one_sentence(error)


def test_a_flipped_bit_in_the_weights_is_found_before_they_are_used(save, checkpoint):
    path = save(checkpoint)
    content = bytearray(path.read_bytes())
    content[content.index(checkpoint["state_dict"]["average.average.head.1.weight"].numpy().tobytes())] ^= 64
    path.write_bytes(content)
    with pytest.raises(
        CheckpointError, match=r"is damaged: its entry 'last/data/\d+' differs from the checksum"
    ) as error:
        load_model(path)
    one_sentence(error)


WEIGHT = "average.average.head.1.weight"


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        (WEIGHT, lambda value: None, "is missing"),
        (WEIGHT, lambda value: value[:1], "has the shape"),
        (WEIGHT, lambda value: value.long(), "torch.int64"),
        (WEIGHT, lambda value: value * float("nan"), "not finite"),
        (WEIGHT, lambda value: value.double() * 1e300, "not finite"),
        (WEIGHT, lambda value: value[:1, :1, :1].expand(10**5, 10**5, 10**2), "larger than what is stored"),
        ("backbone.head.1.weight", lambda value: value / 0, "not finite"),
        ("normalizer.offset", lambda value: value * float("inf"), "not finite"),
        ("normalizer.scale", lambda value: value * 0, "must be above 0"),
        ("normalizer.scale", lambda value: -value, "must be above 0"),
        ("average.average.more", lambda _: torch.ones(1), "there should be no"),
    ],
)
def test_weights_that_no_training_keeps_are_refused_by_name(save, checkpoint, name, change, reason):
    state = checkpoint["state_dict"] = dict(checkpoint["state_dict"])
    changed = change(state.get(name))
    if changed is None:
        del state[name]
    else:
        state[name] = changed
    with pytest.raises(CheckpointError, match=rf"{re.escape(name)}.*{reason}|{reason}.*{re.escape(name)}") as error:
        load_model(save(checkpoint))
    one_sentence(error)


@pytest.mark.parametrize(
    ("group", "key", "value"),
    [
        ("backbone", "dim", 60_000), ("backbone", "dim_multipliers", [1, 60_000]),
        ("backbone", "transition_dim", 10**6),
        ("backbone", "kernel_size", 10**9), ("normalizer", "transition_dim", 10**6), ("datamodule", "horizon", 10**9),
        ("datamodule", "observation_dim", 10**6), ("scheduler", "num_train_timesteps", 10**9),
    ],
)  # fmt: skip
def test_sizes_that_the_file_does_not_hold_take_no_memory(save, checkpoint, group, key, value):
    checkpoint["diffplan"]["config"][group][key] = value
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError) as error:
        load_model(save(checkpoint))
    one_sentence(error)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_rebuilding_a_model_draws_no_other_random_numbers_than_its_network(save, checkpoint, config):
    path = save(checkpoint)
    torch.manual_seed(0)
    build_model(config)
    expected = torch.rand(1)
    torch.manual_seed(0)
    load_model(path)
    assert torch.equal(torch.rand(1), expected)


def test_columns_that_are_weighted_by_their_numbers_are_read(save, checkpoint, config):
    checkpoint["diffplan"]["config"]["loss"] = {"_part_": "loss/denoising_loss", "observation_weights": {0: 5.0}}
    read = read_checkpoint(save(checkpoint))["diffplan"]["config"]
    assert read["loss"]["observation_weights"] == {0: 5.0}
    load_model(save(checkpoint))
