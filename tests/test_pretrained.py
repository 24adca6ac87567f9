"""The models that are shipped still load, are described, and plan."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from diffusers import DDIMScheduler

from diffplan.env.make_env import make_env
from diffplan.env.maze2d.maze_layout import MazeLayout
from diffplan.interop.diffuser_pipeline import DiffuserPipeline

PRETRAINED = Path(__file__).parent.parent / "notebooks" / "pretrained"
FOLDERS = sorted(path for path in PRETRAINED.iterdir() if path.is_dir())


def loaded(name: str) -> DiffuserPipeline:
    pipeline = DiffuserPipeline.from_pretrained(PRETRAINED / name)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, timestep_spacing="trailing")
    return pipeline


def test_the_maze_model_plans_from_start_to_goal_and_hardly_through_walls():
    pipeline, layout = loaded("maze2d-umaze"), MazeLayout.named("umaze")
    form = pipeline.trajectory.config
    assert (form.horizon, form.stride, form.observation_dim, form.conditioning) == (32, 4, 4, "start_and_goal")
    starts = np.array([[3.0, 1.0, 0.0, 0.0], [1.0, 2.0, 0.0, 0.0], [2.0, 2.8, 0.0, 0.0]])
    goals = np.array([[1.0, 1.0, 0.0, 0.0], [3.0, 2.0, 0.0, 0.0], [1.0, 1.5, 0.0, 0.0]])
    settings = {"num_candidates": 8, "num_inference_steps": 8, "generator": torch.Generator().manual_seed(0)}
    plans = pipeline(starts, goals=goals, horizon=40, **settings).observations
    np.testing.assert_allclose(plans[:, :, 0], np.broadcast_to(starts[:, None], plans[:, :, 0].shape), atol=1e-5)
    np.testing.assert_allclose(plans[:, :, -1], np.broadcast_to(goals[:, None], plans[:, :, 0].shape), atol=1e-5)
    # The ball may touch a wall with its rim; its centre stays outside.
    free = layout.is_free(plans[..., :2].astype(np.float64), radius=0.0)
    assert free.mean() > 0.99


def test_the_hopper_model_hops_and_its_critic_ranks():
    pipeline = loaded("hopper")
    env = make_env(pipeline.trajectory.config.env_id)
    observation, _ = env.reset(seed=0)
    generator, total, terminated = torch.Generator().manual_seed(0), 0.0, False
    for _ in range(20):
        plans = pipeline(observation, num_candidates=8, num_inference_steps=2, generator=generator)
        observation, reward, terminated, _, _ = env.step(plans.actions[0, 0, 0])
        total += reward
        assert not terminated
    env.close()
    # The alive bonus alone is 20; the plans go forwards.
    assert total > 25
    assert plans.values[0, 0] > plans.values[0, -1]
    assert pipeline.trajectory.config.data["kind"] == "collected"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_card_says_how_the_model_was_made_and_names_no_machine(folder):
    card = (folder / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["license"] == "mit"
    assert front["model-index"][0]["results"]
    for fact in ("trained by | `diffplan-train experiment=", "steps and seed", "commit |", "data hash |"):
        assert fact in card
    for path in folder.rglob("*.json"):
        card += path.read_text()
    assert not [place for place in ("/work", "/tmp", "/root", "/home") if place in card]


def test_the_shipped_files_are_few_and_small():
    files = [path for path in PRETRAINED.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors", ".md"}
    assert sum(path.stat().st_size for path in files) < 6e6
