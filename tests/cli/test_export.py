"""``diffplan export`` as a user runs it, on checkpoints like those that training leaves."""

import shutil

import numpy as np
import pytest
import torch
from diffusers.experimental import ValueGuidedRLPipeline
from omegaconf import OmegaConf

from diffplan.cli.app import main as app_main
from diffplan.errors import CheckpointError
from diffplan.interop.diffuser_pipeline import DiffuserPipeline
from diffplan.interop.diffusers_env import DiffusersEnv
from diffplan.method.critic import CriticQuality, LevelQuality
from diffplan.run.checkpoint import (
    build_critic,
    build_model,
    checkpoint_origin,
    checkpoint_weights,
    load_critic,
    load_model,
)
from tests.test_conf import composed

SMALL = ("backbone.dim=16", "backbone.dim_multipliers=[1,2]", "task.diffusion_steps=4", "logger=csv_logger")


def main(words):
    app_main(["export", *words])


def write_run(folder, *overrides: str):
    """Writes a run's checkpoints with weights nobody trained."""
    config = composed(*SMALL, *overrides)
    OmegaConf.resolve(config)
    torch.manual_seed(0)
    plain = OmegaConf.to_container(config)
    for name, node, build in (("last", config.module, build_model), ("critic", config.critic.module, build_critic)):
        if node is None:
            continue
        model = build(plain)
        columns = model.layout.transition_dim
        model.normalizer.set_statistics(np.linspace(-1, 1, columns), np.linspace(0.5, 2, columns))
        data = {"name": config.task.name, "kind": "file", "sha256": "0" * 64, "num_transitions": 10}
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        state = {"global_step": 3, "diffplan": checkpoint_origin(plain, data)}
        state["state_dict"] = checkpoint_weights(model, model.backbone.state_dict())
        torch.save(state, folder / "checkpoints" / f"{name}.ckpt")
    return folder


@pytest.fixture(scope="module")
def hopper(tmp_path_factory):
    critic = ("critic.backbone.dim=32", "critic.backbone.dim_multipliers=[1,8]", "window.horizon=8")
    return write_run(tmp_path_factory.mktemp("hopper"), "task=hopper-medium-v2", *critic)


@pytest.fixture(scope="module")
def maze(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("maze"), "task=maze2d-umaze-v1", "window.horizon=8", "window.stride=4")


def test_a_run_becomes_a_folder_for_both_pipelines(hopper, tmp_path, capsys):
    main([f"checkpoint={hopper}", f"to={tmp_path}/out", "license=apache-2.0"])
    assert "ValueGuidedRLPipeline.from_pretrained" in capsys.readouterr().out
    assert "license: apache-2.0" in (tmp_path / "out" / "README.md").read_text()
    pipeline = DiffuserPipeline.from_pretrained(tmp_path / "out")
    model, critic = (
        load_model(hopper / "checkpoints/last.ckpt"),
        load_critic(hopper / "checkpoints/critic.ckpt"),
    )
    trajectories, timesteps = torch.randn(2, 8, 14), torch.tensor([0, 3])
    with torch.no_grad():
        given, wanted = (each.backbone(trajectories, timesteps) for each in (pipeline.model(), model))
        torch.testing.assert_close(given, wanted, atol=1e-5, rtol=1e-5)
        values = (each.values(trajectories, timesteps) for each in (pipeline.critic(), critic))
        torch.testing.assert_close(*values, atol=1e-5, rtol=1e-5)
    assert torch.equal(pipeline.trajectory.offset, model.normalizer.offset)
    env = DiffusersEnv.from_pretrained(tmp_path / "out")
    theirs = ValueGuidedRLPipeline.from_pretrained(tmp_path / "out", env=env, low_cpu_mem_usage=False)
    assert theirs(np.zeros(11, dtype=np.float32), batch_size=2, planning_horizon=8).shape == (3,)


def test_a_maze_is_exported_for_ours_and_it_is_said_why_not_for_theirs(maze, tmp_path, capsys):
    main([f"checkpoint={maze}", f"to={tmp_path}/out"])
    assert "ValueGuidedRLPipeline cannot: it plans by the gradient of a value function" in capsys.readouterr().out
    pipeline = DiffuserPipeline.from_pretrained(tmp_path / "out")
    pipeline.set_progress_bar_config(disable=True)
    plans = pipeline(np.zeros((2, 4)), np.ones((2, 4)), num_candidates=1)
    assert plans.observations.shape == (2, 1, 8, 4)
    assert pipeline.trajectory.config.stride == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["checkpoint={run}/none", "to={out}"], "there is no checkpoint at"),
        (["checkpoint={run}", "to={run}"], "holds something else than an exported model"),
        (["to={out}"], "--checkpoint requires an argument"),
        (["checkpoint={run}/checkpoints/critic.ckpt", "to={out}"], "holds a critic where a denoiser is needed"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(hopper, tmp_path, words, message):
    with pytest.raises(SystemExit, match=f"^diffplan export: .*{message}"):
        main([word.format(run=hopper, out=tmp_path / "out") for word in words])
    assert not (tmp_path / "out").exists()


def test_a_broken_result_is_not_passed_over(hopper, tmp_path):
    run = shutil.copytree(hopper, tmp_path / "run")
    (run / "results.json").write_text("{")
    with pytest.raises(SystemExit, match=r"results\.json cannot be told in the model card"):
        main([f"checkpoint={run}", f"to={tmp_path}/out"])


def test_what_a_critic_is_worth_goes_with_it(hopper, tmp_path):
    """From its checkpoint into an export, and back into a run."""
    run = shutil.copytree(hopper, tmp_path / "run")
    path = run / "checkpoints" / "critic.ckpt"
    levels = [LevelQuality(timestep, 2.5, r2, -1.0, 0.5) for timestep, r2 in ((None, 0.75), (0, 0.5), (3, -2.0))]
    quality = CriticQuality(8, 2, 100, tuple(levels))
    torch.save(torch.load(path, weights_only=True) | {"critic_quality": quality.to_plain()}, path)
    assert load_critic(path).quality == quality
    main([f"checkpoint={run}", f"to={tmp_path}/out"])
    assert DiffuserPipeline.from_pretrained(tmp_path / "out").critic().quality == quality
    app_main(["import", f"from={tmp_path}/out", f"to={tmp_path}/back"])
    assert load_critic(tmp_path / "back" / "checkpoints" / "critic.ckpt").quality == quality


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"levels": []}, "must be given for clean windows, then for rising timesteps"),
        ({"levels": [{"timestep": None}]}, "critic_quality.levels must have the entries timestep, rmse"),
        ({"levels": "many"}, "critic_quality.levels must be a list of 64 noise levels at most"),
        ({"step": "eight"}, "critic_quality.step must be int, got 'eight'"),
        ({"num_windows": 0}, "must be of some windows"),
        ({"extra": 1}, "critic_quality must have the entries step, num_episodes"),
    ],
)
def test_a_worth_that_no_check_has_written_is_refused(hopper, tmp_path, change, message):
    path = tmp_path / "critic.ckpt"
    clean, noisy = (LevelQuality(timestep, 1.0, 0.0, 0.0, 0.0) for timestep in (None, 0))
    given = CriticQuality(8, 2, 100, (clean, noisy)).to_plain() | change
    written = torch.load(hopper / "checkpoints" / "critic.ckpt", weights_only=True)
    torch.save(written | {"critic_quality": given}, path)
    with pytest.raises(CheckpointError, match=message):
        load_critic(path)


def test_a_guide_gets_the_best_critic_and_not_the_newest(hopper, tmp_path):
    path = tmp_path / "critic.ckpt"
    written = torch.load(hopper / "checkpoints" / "critic.ckpt", weights_only=True)
    newest = {k: v for k, v in written["state_dict"].items() if k.startswith("average.average.")}
    best = {name.replace("average.", "kept.", 1): value + 1 for name, value in newest.items()}
    written["state_dict"] |= best
    torch.save(written, path)
    assert all(
        torch.equal(v, newest[f"average.average.{k}"]) for k, v in load_critic(path).backbone.state_dict().items()
    )
    clean, noisy = (LevelQuality(timestep, 1.0, 0.0, 0.0, 0.0) for timestep in (None, 0))
    torch.save(written | {"critic_quality": CriticQuality(8, 2, 100, (clean, noisy)).to_plain()}, path)
    assert all(torch.equal(v, best[f"kept.average.{k}"]) for k, v in load_critic(path).backbone.state_dict().items())
