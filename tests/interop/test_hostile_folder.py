"""Folders that were damaged, or made to do harm, are refused in one sentence by the import and by the pipeline."""

import json
import os
import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from diffplan.cli.app import main as app_main
from diffplan.errors import CheckpointError, ConfigError, DiffplanError
from diffplan.interop.diffuser_pipeline import DiffuserPipeline
from diffplan.interop.diffusers_folder import local_folder
from diffplan.interop.export_folder import exported_pipeline, write_export
from diffplan.interop.trajectory_format import TrajectoryFormat
from tests.interop.original_layout import Denoiser, write_state

UNET, CRITIC, TRAJECTORY = ("unet", "value_function", "trajectory")
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(make_pipeline, tmp_path):
    make_pipeline().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def change(folder, name, **values):
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(content | values))


def change_weights(folder, part, change):
    tensors = load_file(folder / part / WEIGHTS)
    tensors = {name: value.clone() for name, value in tensors.items()}
    changed = change(tensors)
    save_file(tensors if changed is None else changed, folder / part / WEIGHTS)


def refused(folder, message):
    """Both ways to read the folder refuse it in one line, and nothing is made."""
    run = folder.with_name("run")
    with pytest.raises(SystemExit, match=f"^diffplan import: .*{message}") as stopped:
        app_main(["import", "--from", str(folder), "--to", str(run), "--task", "hopper-medium-v2"])
    assert "\n" not in str(stopped.value)
    assert not run.exists()
    with pytest.raises(DiffplanError, match=message):
        DiffuserPipeline.from_pretrained(folder)


@pytest.mark.parametrize(
    ("name", "key", "message"),
    [
        ("scheduler/scheduler_config.json", "clip_sample", "clip_sample must be"),
        ("scheduler/scheduler_config.json", "beta_schedule", "beta_schedule must be"),
        ("trajectory/config.json", "stride", "wrong 'stride'"),
        ("trajectory/config.json", "returns", "wrong 'returns"),
        ("trajectory/config.json", "normalizer", "wrong 'normalizer"),
        ("unet/config.json", "block_out_channels", "block_out_channels"),
    ],
)
@pytest.mark.parametrize("value", [{"_target_": "pathlib.Path.touch"}, "${oc.env:HOME}", 10**9, float("nan"), [[1]]])
def test_a_setting_is_a_value_of_its_type_and_never_built(folder, name, key, message, value):
    value = {**value, "_args_": [str(folder / "touched")]} if isinstance(value, dict) else value
    value = {"discount": value, "termination_penalty": 0.0} if key == "returns" else value
    if key == "normalizer" and isinstance(value, str):
        message = "the exported model has the normalizer"
    change(folder, name, **{key: value})
    refused(folder, message)
    assert not (folder / "touched").exists()


@pytest.mark.parametrize("key", ["horizon", "stride", "action_dim", "num_train_timesteps"])
def test_a_size_that_would_take_all_memory_is_refused(folder, key):
    change(folder, "trajectory/config.json", **{key: 10**9})
    refused(folder, f"wrong '{key}'")


def test_a_schedule_of_a_billion_steps_is_refused(folder):
    change(folder, "scheduler/scheduler_config.json", num_train_timesteps=10**9)
    refused(folder, "num_train_timesteps must be at most 100000")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("trajectory/config.json", "[" * 100_000, "nested too deeply"),
        ("scheduler/scheduler_config.json", '{"a": ' * 100_000, "nested too deeply"),
        ("trajectory/config.json", '{"horizon": 8, "horizon": 9}', "given twice"),
        ("trajectory/config.json", "null", "holds no settings"),
        ("unet/config.json", b"\xff\xfe", "is broken"),
        ("unet/config.json", '{"in_channels": ' + "9" * 5000 + "}", "is broken"),
        ("unet/config.json", " " * 2**21, "settings have"),
        ("unet/config.json", "{}", "is a None; known are UNet1DModel"),
        ("scheduler/scheduler_config.json", '{"_class_name": "SchedulerMixin"}', "which diffusers does not have"),
        ("scheduler/scheduler_config.json", '{"_class_name": {"a": 1}}', "which diffusers does not have"),
    ],
)
def test_a_file_of_settings_that_holds_none_is_named(folder, name, content, message):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    refused(folder, message)


@pytest.mark.parametrize(
    ("part", "damage", "message"),
    [
        (UNET, lambda t: next(iter(t.values())).fill_(float("nan")), "numbers that are not finite"),
        (CRITIC, lambda t: next(iter(t.values())).view(-1)[3:4].fill_(float("inf")), "numbers that are not finite"),
        (TRAJECTORY, lambda t: t["offset"].fill_(float("nan")), "'offset' with numbers that are not finite"),
        (TRAJECTORY, lambda t: t["scale"][1:2].fill_(0.0), "'scale' of 0 in column 1"),
        (TRAJECTORY, lambda t: t["scale"][2:3].fill_(-1.0), "'scale' of -1 in column 2"),
        (TRAJECTORY, lambda t: t["alphas_cumprod"].fill_(2.0), "no noise levels"),
        (TRAJECTORY, lambda t: t["alphas_cumprod"].copy_(t["alphas_cumprod"].flip(0)), "no noise levels"),
        (TRAJECTORY, lambda t: {}, "'offset' is missing"),
        (TRAJECTORY, lambda t: {**t, "scale": t["scale"][:2].clone()}, r"'scale' has shape \(2,\), and \(6,\)"),
        (TRAJECTORY, lambda t: {**t, "offset": t["offset"].long()}, "'offset' of type torch.int64"),
        (UNET, lambda t: {**t, "more": torch.zeros(1)}, "no denoiser here has: 'more'"),
        (UNET, lambda t: dict(list(t.items())[1:]), "is missing|has 6 columns"),
        (UNET, lambda t: {name: value[..., :1].contiguous() for name, value in t.items()}, "the weights"),
    ],
)
def test_weights_and_statistics_that_cannot_be_meant_are_named(folder, part, damage, message):
    change_weights(folder, part, lambda tensors: found if isinstance(found := damage(tensors), dict) else None)
    if part == CRITIC:
        with pytest.raises(CheckpointError, match=message):
            DiffuserPipeline.from_pretrained(folder)
    else:
        refused(folder, message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(2)], "no weights by name"),
        ({1: torch.zeros(2)}, "no weights by name"),
        ({"a": [torch.zeros(2)]}, "'a', which is no plain tensor"),
        ({"a": torch.zeros(1).expand(10**6, 10**6)}, "'a', which is no plain tensor"),
        ({"a": torch.zeros(2).to_sparse()}, "'a', which is no plain tensor"),
        ({"a": torch.zeros(2, dtype=torch.complex64)}, "'a' of type torch.complex64"),
    ],
)
def test_pickled_weights_are_plain_tensors_by_name(folder, content, message):
    (folder / UNET / WEIGHTS).unlink()
    torch.save(content, folder / UNET / "diffusion_pytorch_model.bin")
    refused(folder, message)


def test_weights_too_large_for_any_network_are_refused_by_their_head(folder):
    header = json.dumps({"a": {"dtype": "F32", "shape": [2**31], "data_offsets": [0, 2**33]}}).encode()
    path = folder / UNET / WEIGHTS
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(path, 8 + len(header) + 2**33)  # A sparse file takes no room on the disk.
    refused(folder, "holds 2,147,483,648 numbers")


@pytest.mark.parametrize("name", ["unet/config.json", f"unet/{WEIGHTS}", f"trajectory/{WEIGHTS}"])
def test_a_link_that_leaves_the_folder_and_a_pipe_are_not_read(folder, tmp_path, name):
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    refused(folder, "is a link to a file outside the folder")
    (folder / name).unlink()
    (folder / name).symlink_to(folder / name)
    refused(folder, "cannot be read: Too many levels of symbolic links")
    (folder / name).unlink()
    os.mkfifo(folder / name)
    refused(folder, "is no ordinary file")


def test_what_the_cache_of_the_hub_links_to_is_read(folder, tmp_path):
    blobs, snapshot = tmp_path / "hub" / "blobs", tmp_path / "hub" / "snapshots" / "0123"
    blobs.mkdir(parents=True)
    for number, path in enumerate(path for path in sorted(folder.rglob("*")) if path.is_file()):
        place = snapshot / path.relative_to(folder)
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(blobs / str(number))
        place.symlink_to(blobs / str(number))
    assert DiffuserPipeline.from_pretrained(snapshot).trajectory.config.horizon == 8


@pytest.mark.parametrize("place", ["/nowhere/model", "./model", "a/b/c", "~/model", "no space/model", "outputs/model"])
def test_what_cannot_be_a_name_on_the_hub_is_not_looked_up(monkeypatch, tmp_path, place):
    (tmp_path / "outputs").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("diffplan.interop.diffusers_folder.snapshot_download", lambda *_, **__: pytest.fail("asked"))
    with pytest.raises(CheckpointError, match="there is no folder at"):
        local_folder(place, {})


def test_a_setting_that_would_load_code_is_refused(folder):
    with pytest.raises(ConfigError, match="takes no 'custom_pipeline' here"):
        DiffuserPipeline.from_pretrained(folder, custom_pipeline="somebody/code", trust_remote_code=True)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda s: s["ema"].update({"model.time_mlp.1.bias": torch.full((32,), torch.nan)}), "not finite"),
        (lambda s: s["model"].update({"model.time_mlp.1.bias": torch.full((32,), torch.nan)}), "not finite"),
        (lambda s: s["ema"].update(alphas_cumprod=torch.linspace(0, 1, 20)), "no noise levels"),
        (lambda s: s.update(step=-5), "'step' that is no number"),
        (lambda s: s.update(step="many"), "'step' that is no number"),
        (lambda s: s.update(ema=[1]), "no weights by name"),
        (lambda s: s["ema"].update({"model.mid_block1.blocks.0.block.0.weight": torch.zeros(3)}), "has shape"),
        (lambda s: s["ema"].update({"model.downs.0.0.blocks.0.block.0.weight": torch.zeros(3)}), r"has shape \(3,\)"),
    ],
)
def test_a_state_of_the_original_is_checked_likewise(tmp_path, damage, message):
    path = write_state(tmp_path / "state_0.pt", Denoiser(14, 8, (1, 2)))
    state = torch.load(path)
    damage(state)
    torch.save(state, path)
    (tmp_path / "statistics.json").write_text(json.dumps({"offset": [0] * 14, "scale": [1] * 14}))
    words = ["--task", "hopper-medium-v2", "--statistics", f"{tmp_path}/statistics.json", "--to", f"{tmp_path}/run"]
    with pytest.raises(SystemExit, match=f"^diffplan import: .*{message}"):
        app_main(["import", "--from", str(path), *words])
    assert not (tmp_path / "run").exists()


def test_a_name_that_refers_to_a_setting_is_refused(folder):
    words = ["import", "--from", str(folder), "--to", str(folder.with_name("run")), "--name"]
    with pytest.raises(SystemExit, match=r"name must be short printable text that refers to nothing"):
        app_main([*words, "${oc.env:HOME}"])


@pytest.mark.parametrize("part", ["unet", "normalizer"])
def test_numbers_that_are_not_finite_are_not_exported(make_model, part):
    model = make_model()
    with torch.no_grad():
        (next(model.backbone.parameters()) if part == "unet" else model.normalizer.scale).fill_(torch.nan)
    with pytest.raises(CheckpointError, match="not finite"):
        exported_pipeline(model, None, TrajectoryFormat.of_model(model))


KILLED = """
import os, signal, sys
from pathlib import Path
from diffplan.interop.whole_folder import whole_folder
with whole_folder(Path(sys.argv[1]), "the export") as new:
    (new / "README.md").write_text("half")
    rename = Path.rename
    def renamed(self, target):
        rename(self, target)
        os.kill(os.getpid(), signal.SIGKILL)
    if sys.argv[2] == "writing":
        os.kill(os.getpid(), signal.SIGKILL)
    Path.rename = renamed
"""


@pytest.mark.parametrize("moment", ["writing", "moving"])
def test_the_next_export_puts_back_and_clears_what_a_killed_one_left(make_pipeline, tmp_path, moment):
    write_export(make_pipeline(), "first", tmp_path / "model")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "model"), moment])
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "model").exists() == (moment == "writing")
    (tmp_path / "model.txt").touch()
    write_export(make_pipeline(), "second", tmp_path / "model")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model.txt"]
    assert (tmp_path / "model" / "README.md").read_text() == "second"


def test_an_export_leaves_the_files_of_one_that_is_at_work(make_pipeline, tmp_path):
    waits = KILLED.partition("    rename =")[0] + "    print('there', flush=True)\n    import time; time.sleep(60)\n"
    other = subprocess.Popen([sys.executable, "-c", waits, str(tmp_path / "model"), ""], stdout=subprocess.PIPE)
    try:
        other.stdout.readline()
        write_export(make_pipeline(), "mine", tmp_path / "model")
        assert sum(1 for _ in tmp_path.glob(".model.*")) == 1
    finally:
        other.kill()
        other.communicate()


@pytest.mark.parametrize("where", ["/proc/here/model", "/dev/null/model", "{}/model"])
def test_a_place_that_cannot_be_written_is_named_with_its_option(make_pipeline, tmp_path, where):
    place = where.format(tmp_path / ("a" * 300))
    with pytest.raises(
        CheckpointError, match=r"cannot be written to .*model.*with --to|cannot be read: File name too long"
    ):
        write_export(make_pipeline(), "card", tmp_path / place)
    assert list(tmp_path.iterdir()) == []


def test_an_import_that_was_killed_is_made_when_it_is_typed_again(tmp_path):
    path = write_state(tmp_path / "state_0.pt", Denoiser(14, 8, (1, 2)))
    (tmp_path / "statistics.json").write_text(json.dumps({"offset": [0] * 14, "scale": [1] * 14}))
    run = tmp_path / "run"
    run.mkdir()
    subprocess.run([sys.executable, "-c", KILLED, str(run / "checkpoints"), "writing"])
    assert [path.name for path in run.iterdir()] != []
    words = ["--task", "hopper-medium-v2", "--statistics", f"{tmp_path}/statistics.json", "--to", str(run)]
    app_main(["import", "--from", str(path), *words])
    assert [path.name for path in run.iterdir()] == ["checkpoints"]


def test_a_critic_for_a_task_without_one_is_refused(folder):
    change(folder, "trajectory/config.json", task="maze2d-umaze-v1")
    words = ["import", "--from", str(folder), "--to", str(folder.with_name("run"))]
    with pytest.raises(SystemExit, match=r"maze2d-umaze-v1 is planned without a critic, but there is one"):
        app_main(words)
