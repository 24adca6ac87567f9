"""Our copy of diffusers' rule against diffusers' pipeline, step by step; and where that pipeline is wrong."""

import copy
import math

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from diffusers.experimental import ValueGuidedRLPipeline

from diffplan.errors import ConfigError
from diffplan.interop.diffusers_env import DiffusersEnv
from diffplan.method.guide import NoGuide, ValueGuide
from diffplan.method.noise.reverse_process import ReverseProcess
from diffplan.method.sampler.guided_samplers import DiffusersPipelineSampler
from tests.interop.conftest import make_critic, make_model, make_pipeline, observations  # noqa: F401


@pytest.fixture
def make_pair(make_pipeline):  # noqa: F811
    """Our pipeline and diffusers', with one set of weights."""

    def make(steps: int = 6, variance_type: str = "fixed_small"):
        ours = make_pipeline(steps=steps)
        ours.scheduler = type(ours.scheduler).from_config(ours.scheduler.config, variance_type=variance_type)
        env = DiffusersEnv(ours.trajectory)
        return ours, ValueGuidedRLPipeline(ours.value_function, ours.unet, copy.deepcopy(ours.scheduler), env)

    return make


def inputs_of(network, call) -> list[torch.Tensor]:
    """What a network was given, call by call, with rows before columns."""
    seen = []
    hook = network.register_forward_pre_hook(lambda module, given: seen.append(given[0].detach().clone()))
    call()
    hook.remove()
    return seen


@pytest.mark.parametrize("variance_type", ["fixed_small", "fixed_small_log"])
def test_every_sample_that_is_denoised_is_the_pipeline_s(make_pair, observations, variance_type):  # noqa: F811
    ours, theirs = make_pair(20, variance_type)
    model, critic, observation = ours.model(), ours.critic(), observations[0]
    torch.manual_seed(0)
    wanted = inputs_of(theirs.unet, lambda: theirs(observation.numpy(), batch_size=4, planning_horizon=8, scale=0.002))
    given = model.normalizer.normalize(observation.expand(4, 4), model.layout.observations)[:, None]
    conditions = model.conditioning.from_observations(given, 8, model.layout)
    sampler, generators = DiffusersPipelineSampler(ours.scheduler), [torch.Generator().manual_seed(0)]
    seen = inputs_of(model.backbone, lambda: sampler.sample(model, conditions, generators, ValueGuide(critic, 0.002)))
    assert len(seen) == len(wanted) == 20
    for step, (mine, pipeline_s) in enumerate(zip(seen, wanted, strict=True)):
        torch.testing.assert_close(mine, pipeline_s.transpose(1, 2), atol=1e-4, rtol=1e-4, msg=f"step {step}")


def test_its_factor_is_the_square_root_of_e_to_the_variance_and_not_the_variance(make_pair):
    ours, _ = make_pair(20)
    process = ReverseProcess(ours.scheduler, 20)
    ratios = []
    for call in process.start(20)[:-2]:
        variance = float(process.posterior(call).variance)
        factor = math.exp(0.5 * float(process.scheduler._get_variance(process.timesteps[call])))
        assert factor == pytest.approx(math.exp(0.5 * variance), rel=1e-4)
        ratios.append(factor / variance)
    # Least at the beginning, and growing without end towards the last guided timestep.
    assert ratios[0] == pytest.approx(1.66, abs=0.01)
    assert ratios[-1] == pytest.approx(66, abs=1)
    assert ratios == sorted(ratios)


def test_below_timestep_two_nothing_is_steered_in_either(make_pair, observations):  # noqa: F811
    ours, theirs = make_pair(2)
    torch.manual_seed(0)
    steered = theirs(observations[0].numpy(), batch_size=4, planning_horizon=8, scale=1e6)
    plans = ours(
        observations[0], num_candidates=4, guidance_rule="diffusers_pipeline", guidance_scale=1e6, ranking="last_input",
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    np.testing.assert_allclose(plans.actions[0, 0, 0], steered, atol=1e-5)


def test_no_guide_steps_and_one_candidate_stop_the_pipeline_and_not_us(make_pair, observations):  # noqa: F811
    ours, theirs = make_pair()
    observation = observations[0].numpy()
    with pytest.raises(AttributeError, match="argsort"):
        theirs(observation, batch_size=4, planning_horizon=8, n_guide_steps=0)
    with pytest.raises(IndexError):
        theirs(observation, batch_size=1, planning_horizon=8)
    for settings in ({"num_guide_steps": 0, "num_candidates": 4}, {"num_candidates": 1}):
        plans = ours(observation, guidance_rule="diffusers_pipeline", **settings)
        assert np.isfinite(plans.actions).all()


def test_a_batch_of_observations_stops_the_pipeline_and_not_us(make_pair, observations):  # noqa: F811
    ours, theirs = make_pair()
    with pytest.raises(RuntimeError):
        theirs(observations.numpy(), batch_size=2, planning_horizon=8)
    assert ours(observations, guidance_rule="diffusers_pipeline", num_candidates=2).actions.shape == (3, 2, 8, 2)


@pytest.mark.parametrize("kind", [DDIMScheduler, DPMSolverMultistepScheduler])
def test_a_scheduler_that_tells_no_variance_is_refused(make_pair, kind):
    ours, _ = make_pair()
    scheduler = kind.from_config(ours.scheduler.config, final_sigmas_type="zero")
    sampler = DiffusersPipelineSampler(scheduler)
    sampler.check_guide(NoGuide())
    with pytest.raises(ConfigError, match=f"{kind.__name__} does not tell"):
        sampler.check_guide(ValueGuide(ours.critic(), 0.1))


@pytest.mark.parametrize("settings", [{"scaling": "std"}, {"t_stopgrad": 4}])
def test_a_guide_that_asks_for_something_else_is_refused(make_pair, settings):
    ours, _ = make_pair()
    sampler = DiffusersPipelineSampler(ours.scheduler)
    sampler.check_guide(NoGuide())
    sampler.check_guide(ValueGuide(ours.critic(), 0.1))
    with pytest.raises(ConfigError, match="of its own"):
        sampler.check_guide(ValueGuide(ours.critic(), 0.1, **settings))
