"""``diffplan import`` as a user runs it: whatever comes in, an ordinary run comes out and computes the same."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from diffplan.cli.app import main as app_main
from diffplan.run.checkpoint import load_critic, load_model, read_checkpoint
from tests.cli.test_export import hopper, maze  # noqa: F401
from tests.cli.test_export import main as export
from tests.interop.original_layout import Denoiser, Value, write_state
from tests.method.network.test_temporal_unet import pattern
from tests.training.test_stage import write_hops


def main(words):
    app_main(["import", *words])


def last(run: Path) -> Path:
    return run / "checkpoints" / "last.ckpt"


def critic_of(run: Path) -> Path:
    return run / "checkpoints" / "critic.ckpt"


@pytest.fixture
def statistics(tmp_path):
    def write(columns: int) -> Path:
        path = tmp_path / "statistics.json"
        path.write_text(json.dumps({"offset": [0.5] * columns, "scale": [2.0] * columns}))
        return path

    return write


def test_an_original_hopper_reproduces_the_original_s_numbers(tmp_path, statistics):
    write_state(tmp_path / "diffusion" / "state_980000.pt", Denoiser(14, 32, (1, 2, 4, 8)))
    write_state(tmp_path / "values" / "state_199000.pt", Value(14, 32, (1, 2, 4, 8)), horizon=None)
    main([
        f"from={tmp_path}/diffusion", f"critic={tmp_path}/values", "task=hopper-medium-v2", f"to={tmp_path}/run",
        f"statistics={statistics(14)}",
    ])  # fmt: skip
    model, critic = load_model(last(tmp_path / "run")), load_critic(critic_of(tmp_path / "run"))
    with torch.no_grad():
        output = model.backbone(pattern(2, 32, 14), torch.tensor([0, 7]))
        values = critic.values(pattern(2, 32, 14), torch.tensor([0, 7]))
    assert output.sum().item() == pytest.approx(29.676516, abs=1e-3)
    assert values.tolist() == pytest.approx([2.700459, 1.919825], abs=1e-4)
    assert model.normalizer.scale.tolist() == [2.0] * 14
    assert (read_checkpoint(last(tmp_path / "run"))["state_dict"]["backbone.head.1.weight"] == 0).all()
    assert (model.horizon, model.scheduler.config.num_train_timesteps) == (32, 20)


def test_an_original_maze_has_its_horizon_and_clips(tmp_path, statistics):
    path = write_state(tmp_path / "state_0.pt", Denoiser(6, 32, (1, 4, 8), maze=True), steps=64, horizon=128)
    main([f"from={path}", "task=maze2d-umaze-v1", f"to={tmp_path}/run", f"statistics={statistics(6)}"])
    model = load_model(last(tmp_path / "run"))
    assert (model.horizon, model.scheduler.config.num_train_timesteps) == (128, 64)
    assert model.scheduler.config.clip_sample
    assert not critic_of(tmp_path / "run").exists()


@pytest.mark.parametrize("which", ["hopper", "maze"])
def test_an_export_comes_back_as_the_run_it_was(request, tmp_path, which):
    run = request.getfixturevalue(which)
    export([f"checkpoint={run}", f"to={tmp_path}/out"])
    main([f"from={tmp_path}/out", f"to={tmp_path}/run"])
    before, after = load_model(last(run)), load_model(last(tmp_path / "run"))
    assert (before.horizon, before.stride, before.layout) == (after.horizon, after.stride, after.layout)
    assert type(before.conditioning) is type(after.conditioning)
    assert type(before.normalizer) is type(after.normalizer)
    assert torch.equal(before.normalizer.scale, after.normalizer.scale)
    trajectories, timesteps = torch.randn(2, 8, before.layout.transition_dim), torch.tensor([0, 3])
    with torch.no_grad():
        given, wanted = (each.backbone(trajectories, timesteps) for each in (after, before))
    torch.testing.assert_close(given, wanted, atol=1e-5, rtol=1e-5)
    assert critic_of(tmp_path / "run").exists() == critic_of(run).exists()


def test_a_published_folder_needs_its_statistics_and_what_it_predicts(hopper, tmp_path):  # noqa: F811
    export([f"checkpoint={hopper}", f"to={tmp_path}/out"])
    shutil.rmtree(tmp_path / "out" / "trajectory")
    path = tmp_path / "out" / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "prediction_type"}))
    words = [f"from={tmp_path}/out", f"to={tmp_path}/run"]
    for more, message in (
        ("task=hopper-medium-v2", "does not hold its statistics; add --statistics"),
        (f"statistics={hopper}", "does not say what the network predicts; add --prediction-type sample"),
    ):
        words.append(more)
        with pytest.raises(SystemExit, match=message):
            main(words)
    words.append("prediction_type=sample")
    with pytest.raises(SystemExit, match="fit no critic of 64 rows"):
        main([*words, "horizon=64"])
    main([*words, "horizon=8"])
    assert torch.equal(load_model(last(tmp_path / "run")).normalizer.scale, load_model(last(hopper)).normalizer.scale)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["from={here}/none"], "there is nothing at"),
        (["from={here}/state_0.pt"], "does not hold its task; add --task"),
        (["from={here}/state_0.pt", "task=hopper-medium-v2"], "does not hold its statistics"),
        (["from={here}/state_0.pt", "task=walker2d-medium-v2", "statistics={here}/statistics.json"], "has 14 columns"),
        (["from={here}/state_0.pt", "task=hopper-v9", "statistics={here}/statistics.json"], "hopper-v9"),
        (["from={here}/model_config.pkl", "task=hopper-medium-v2"], r"model_config\.pkl is a pickle"),
        (
            ["from={here}/state_0.pt", "task=hopper-medium-v2", "statistics={here}/statistics.json", "horizon=64"],
            "the files say horizon=32, not 64",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_and_leaves_nothing(tmp_path, statistics, words, message):
    write_state(tmp_path / "state_0.pt", Denoiser(14, 8, (1, 2)))
    (tmp_path / "model_config.pkl").write_bytes(b"never read")
    statistics(14)
    with pytest.raises(SystemExit, match=f"^diffplan import: .*{message}") as stopped:
        main([*(word.format(here=tmp_path) for word in words), f"to={tmp_path}/run"])
    assert "\n" not in str(stopped.value)
    assert not (tmp_path / "run").exists()


def test_statistics_of_another_width_and_another_noise_are_refused(tmp_path, statistics):
    path = write_state(tmp_path / "state_0.pt", Denoiser(14, 8, (1, 2)))
    words = [f"from={path}", "task=hopper-medium-v2", f"to={tmp_path}/run"]
    with pytest.raises(SystemExit, match="of 4 columns, but the model has 14"):
        main([*words, f"statistics={statistics(4)}"])
    state = torch.load(path)
    state["ema"]["alphas_cumprod"] = torch.linspace(1, 0, 20)
    torch.save(state, path)
    with pytest.raises(SystemExit, match="another noise schedule"):
        main([*words, f"statistics={statistics(14)}"])


def test_a_missing_weight_is_named(tmp_path, statistics):
    path = write_state(tmp_path / "state_0.pt", Denoiser(14, 8, (1, 2)))
    state = torch.load(path)
    del state["ema"]["model.final_conv.1.bias"]
    torch.save(state, path)
    with pytest.raises(SystemExit, match=r"fit no denoiser.*head\.1\.bias"):
        main([f"from={path}", "task=hopper-medium-v2", f"to={tmp_path}/run", f"statistics={statistics(14)}"])


@pytest.mark.parametrize("scale", ["[0, 1]", "[1, NaN]", "1", '["a"]'])
def test_statistics_that_are_none_are_refused(tmp_path, scale):
    path = write_state(tmp_path / "state_0.pt", Denoiser(14, 8, (1, 2)))
    (tmp_path / "statistics.json").write_text(f'{{"offset": [0, 0], "scale": {scale}}}')
    words = [f"from={path}", "task=hopper-medium-v2", f"to={tmp_path}/run"]
    with pytest.raises(SystemExit, match=r"statistics\.json must hold lists of numbers 'offset' and 'scale'"):
        main([*words, f"statistics={tmp_path}/statistics.json"])


def test_a_run_that_is_there_is_not_replaced(hopper, tmp_path):  # noqa: F811
    export([f"checkpoint={hopper}", f"to={tmp_path}/out"])
    main([f"from={tmp_path}/out", f"to={tmp_path}/run"])
    with pytest.raises(SystemExit, match="is there already"):
        main([f"from={tmp_path}/out", f"to={tmp_path}/run"])


@pytest.mark.slow
def test_an_imported_maze_is_evaluated_like_any_run(maze, tmp_path):  # noqa: F811
    export([f"checkpoint={maze}", f"to={tmp_path}/out"])
    main([f"from={tmp_path}/out", f"to={tmp_path}/run"])
    words = [f"checkpoint={tmp_path}/run", "num_episodes=1", "num_videos=0", f"paths.run_dir={tmp_path}/plan"]
    done = subprocess.run([sys.executable, "-m", "diffplan.cli.plan", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "plan" / "results.json").is_file()


def test_statistics_are_taken_from_data_as_the_original_did(tmp_path, capsys):
    write_hops(tmp_path / "hops.hdf5", num_episodes=2)
    write_state(tmp_path / "model" / "state_0.pt", Denoiser(14, 8, (1, 2)))
    (tmp_path / "model" / "dataset_config.pkl").write_bytes(b"never read")
    main([
        f"from={tmp_path}/model", "task=hopper-random-v2", f"to={tmp_path}/run", "statistics=data",
        f"data_file={tmp_path}/hops.hdf5",
    ])  # fmt: skip
    assert "not opened, for pickles can run code: dataset_config.pkl" in capsys.readouterr().out
    with h5py.File(tmp_path / "hops.hdf5") as file:
        rows = np.concatenate([file["actions"][:], file["observations"][:]], axis=1).astype(np.float64)
    normalizer = load_model(last(tmp_path / "run")).normalizer
    np.testing.assert_allclose(normalizer.offset, rows.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(normalizer.scale, rows.std(axis=0), rtol=1e-4)
