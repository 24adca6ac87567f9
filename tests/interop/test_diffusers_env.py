"""An exported folder in diffusers' own pipeline: it loads, plans, and agrees where it should."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers.experimental import ValueGuidedRLPipeline

from diffplan.errors import CheckpointError
from diffplan.interop.diffuser_pipeline import DiffuserPipeline
from diffplan.interop.diffusers_env import DiffusersEnv

SETTINGS = {"low_cpu_mem_usage": False}


@pytest.fixture
def folder(make_pipeline, tmp_path):
    make_pipeline().save_pretrained(tmp_path / "exported")
    return tmp_path / "exported"


class StandIn:
    """Has what an environment has, and counts its steps."""

    observation_space, action_space = SimpleNamespace(shape=(4,)), SimpleNamespace(shape=(2,))

    def __init__(self) -> None:
        self.steps = 0

    def step(self, action):
        self.steps += 1
        return np.zeros(4), 0.0, False, False, {}


def test_both_pipelines_choose_the_same_action_by_diffusers_rule(folder, observations):
    theirs = ValueGuidedRLPipeline.from_pretrained(folder, env=DiffusersEnv.from_pretrained(folder), **SETTINGS)
    ours = DiffuserPipeline.from_pretrained(folder)
    ours.set_progress_bar_config(disable=True)
    for seed, observation in enumerate(observations.numpy()):
        torch.manual_seed(seed)
        wanted = theirs(observation, batch_size=8, planning_horizon=8, scale=0.002)
        plans = ours(
            observation, num_candidates=8, guidance_rule="diffusers_pipeline", guidance_scale=0.002,
            ranking="last_input", generator=torch.Generator().manual_seed(seed),
        )  # fmt: skip
        # Twelve guide steps and six denoising steps in single precision, summed in another order.
        np.testing.assert_allclose(plans.actions[0, 0, 0], wanted, atol=1e-4)


def test_it_normalises_each_column_where_data_are_normalised_with_one_number(folder, observations):
    moments = DiffusersEnv.from_pretrained(folder)
    theirs = ValueGuidedRLPipeline.from_pretrained(folder, env=moments, **SETTINGS)
    form = DiffuserPipeline.from_pretrained(folder).trajectory
    normalizer = form.normalizer()
    wanted = normalizer.normalize(observations, form.layout.observations).numpy()
    np.testing.assert_allclose(theirs.normalize(observations.numpy(), "observations"), wanted, atol=1e-6)

    rows = normalizer.unnormalize(torch.randn(1000, 4), form.layout.observations).numpy()
    env = StandIn()
    env.get_dataset = lambda: {"observations": rows, "actions": rows[:, :2]}
    stock = ValueGuidedRLPipeline.from_pretrained(folder, env=env, **SETTINGS)
    assert np.ndim(stock.means["observations"]) == 0
    assert np.abs(stock.normalize(rows, "observations") - theirs.normalize(rows, "observations")).max() > 1


def test_everything_else_goes_to_the_environment(folder):
    env = StandIn()
    shim = DiffusersEnv.from_pretrained(folder, env)
    shim.step(np.zeros(2))
    assert env.steps == 1
    with pytest.raises(AttributeError, match="step"):
        DiffusersEnv.from_pretrained(folder).step(np.zeros(2))


def test_an_environment_of_another_size_is_refused(folder):
    env = StandIn()
    env.observation_space = SimpleNamespace(shape=(11,))
    with pytest.raises(CheckpointError, match=r"shapes \(2,\) and \(11,\), but the model was trained with 2 and 4"):
        DiffusersEnv.from_pretrained(folder, env)
