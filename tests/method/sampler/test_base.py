import inspect

import pytest
import torch
from diffusers import DDPMScheduler, PNDMScheduler

import diffplan.method.sampler as folder
from diffplan.config.paths import CONF_DIR
from diffplan.errors import ConfigError, TaskMismatchError
from diffplan.method.conditioning import FirstState, StartAndGoal
from diffplan.method.network.temporal_unet import TemporalUnet
from diffplan.method.sampler.base import AbstractSampler
from diffplan.method.trajectory import TransitionLayout

# NumPy's complaint about how diffusers turns a tensor into an array; nothing here can change it.
pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")

SCHEDULERS = sorted(path.stem for path in (CONF_DIR / "scheduler").glob("*.yaml"))
SAMPLERS = [
    cls
    for name, cls in inspect.getmembers(folder, inspect.isclass)
    if name.endswith("Sampler") and not name.startswith("Abstract")
]
LAYOUT = TransitionLayout(2, 4)


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def start_conditions(batch: int = 3, horizon: int = 8, seed: int = 0):
    observations = torch.rand(batch, 1, 4, generator=torch.Generator().manual_seed(seed)) * 4 - 2
    return FirstState().from_observations(observations, horizon, LAYOUT)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return TemporalUnet(6, dim=8, dim_multipliers=(1, 2)).eval()


@pytest.mark.parametrize("cls", SAMPLERS)
@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("kind", ["sample", "epsilon", "v_prediction"])
@pytest.mark.parametrize("conditioning", [FirstState(), StartAndGoal()], ids=["first_state", "start_and_goal"])
def test_given_entries_are_exact_in_every_sample(cls, name, kind, conditioning, network, make_scheduler, make_model):
    scheduler = make_scheduler(name, 8, clip=True, prediction_type=kind)
    rows = conditioning.rows(8)
    # Beyond the range that denoised estimates are clipped to.
    observations = 3.0 * torch.randn(2, len(rows), 4)
    conditions = conditioning.from_observations(observations, 8, LAYOUT)
    sample = cls(scheduler, 3).sample(make_model(scheduler, network, conditioning), conditions, generators(1, 2))
    assert torch.equal(sample[:, rows, 2:], observations)
    assert torch.isfinite(sample).all()


@pytest.mark.parametrize("cls", SAMPLERS)
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_trajectory_does_not_depend_on_the_batch_around_it(cls, name, make_scheduler, make_model):
    scheduler = make_scheduler(name, 8)
    model, conditions = make_model(scheduler), start_conditions(3)
    together = cls(scheduler).sample(model, conditions, generators(5, 6, 7))
    for index, seed in enumerate((5, 6, 7)):
        own = FirstState().from_observations(conditions.values[index : index + 1, :1, 2:], 8, LAYOUT)
        assert torch.equal(cls(scheduler).sample(model, own, generators(seed))[0], together[index])
    assert not torch.allclose(together[0, 1:], together[1, 1:])


@pytest.mark.parametrize("cls", SAMPLERS)
@pytest.mark.parametrize("name", SCHEDULERS)
def test_sampling_twice_with_one_sampler_gives_the_same(cls, name, make_scheduler, make_model):
    sampler = cls(make_scheduler(name, 8))
    model = make_model(sampler.scheduler)
    first = sampler.sample(model, start_conditions(), generators(1, 2, 3))
    assert torch.equal(sampler.sample(model, start_conditions(), generators(1, 2, 3)), first)


@pytest.mark.parametrize("cls", SAMPLERS)
def test_sampling_leaves_a_shared_scheduler_as_it_was(cls, make_scheduler, make_model):
    scheduler = make_scheduler("ddim", 20)
    cls(scheduler, 5).sample(make_model(scheduler), start_conditions(), generators(1, 2, 3))
    assert scheduler.num_inference_steps is None
    assert len(scheduler.timesteps) == 20


@pytest.mark.parametrize("cls", SAMPLERS)
def test_the_network_is_called_once_a_step_for_the_whole_batch(cls, make_scheduler, make_model):
    scheduler = make_scheduler("ddim", 20)
    for asked, calls in ((None, 20), (5, 5), (1, 1)):
        model = make_model(scheduler)
        cls(scheduler, asked).sample(model, start_conditions(3), generators(1, 2, 3))
        assert model.backbone.batch_sizes == [3] * calls


@pytest.mark.parametrize("horizon", [4, 16, 384])
def test_the_horizon_of_planning_may_differ_from_training_s(horizon, network, make_scheduler, make_model):
    scheduler = make_scheduler("ddim", 4)
    conditions = start_conditions(1, horizon)
    sample = SAMPLERS[0](scheduler).sample(make_model(scheduler, network, horizon=8), conditions, generators(0))
    assert sample.shape == (1, horizon, 6)


def test_the_given_noise_is_where_sampling_starts(make_scheduler, make_model):
    scheduler = make_scheduler("ddim", 8)
    sampler, model, conditions = SAMPLERS[0](scheduler), make_model(scheduler), start_conditions(1)
    drawn = torch.randn((1, 8, 6), generator=torch.Generator().manual_seed(9))
    assert torch.equal(
        sampler.sample(model, conditions, generators(0), initial=drawn),
        sampler.sample(model, conditions, generators(9)),
    )


@pytest.mark.parametrize("steps", [0, 21, -1])
def test_more_steps_than_trained_or_none_are_refused(steps):
    with pytest.raises(ConfigError, match=f"must lie between 1 and the 20 diffusion steps of the model, got {steps}"):
        SAMPLERS[0](DDPMScheduler(20), steps)


def test_a_scheduler_that_cannot_serve_is_refused_at_construction():
    with pytest.raises(ConfigError, match="PNDMScheduler cannot denoise plans"):
        SAMPLERS[0](PNDMScheduler(20))


def test_a_model_trained_under_another_schedule_is_refused(make_scheduler, make_model):
    model = make_model(make_scheduler("ddpm", 64))
    with pytest.raises(TaskMismatchError, match="trained with 64 diffusion steps"):
        SAMPLERS[0](make_scheduler("ddpm", 20)).sample(model, start_conditions(1), generators(0))


def test_every_exported_sampler_is_one():
    assert SAMPLERS
    assert all(issubclass(cls, AbstractSampler) and not inspect.isabstract(cls) for cls in SAMPLERS)
