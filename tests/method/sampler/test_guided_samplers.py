"""Both guided samplers against closed forms: normal data, the exact denoiser and guides whose gradient is known."""

import numpy as np
import pytest
import torch
from diffusers import DPMSolverMultistepScheduler

from diffplan.config.paths import CONF_DIR
from diffplan.errors import ConfigError
from diffplan.method.conditioning import Conditions, FirstState
from diffplan.method.guide import AbstractGuide, NoGuide
from diffplan.method.noise.schedule import NoiseSchedule
from diffplan.method.sampler.base import WarmStart
from diffplan.method.sampler.guided_samplers import MeanShiftSampler, SampleShiftSampler, UnguidedSampler
from diffplan.method.trajectory import TransitionLayout
from tests.method.sampler.conftest import DEVIATION, MEAN

# NumPy's complaint about how diffusers turns a tensor into an array; nothing here can change it.
pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")

LAYOUT = TransitionLayout(2, 4)
GUIDED = [SampleShiftSampler, MeanShiftSampler]
SCHEDULERS = sorted(path.stem for path in (CONF_DIR / "scheduler").glob("*.yaml"))
ANCESTRAL = ["ddpm", "euler_ancestral", "dpm_solver_sde"]
# They add noise that they do not tell of.
SECRETIVE = ["dpm_solver_sde", "lcm"]
PAIRS = [(cls, name) for cls in GUIDED for name in SCHEDULERS if cls is SampleShiftSampler or name not in SECRETIVE]


class LinearGuide(AbstractGuide):
    """The gradient is one number everywhere, times the posterior variance."""

    def __init__(self, slope: float = 0.4, num_steps: int = 2, last: int = 0) -> None:
        super().__init__(None)
        self.slope, self.num_steps, self.last = slope, num_steps, last

    def acts_at(self, timestep):
        return timestep >= self.last

    def shift(self, trajectories, timestep, variance, given):
        return torch.full_like(trajectories, self.slope) * variance

    def values(self, trajectories, timestep):
        return trajectories.sum(dim=(1, 2))


class TiltGuide(LinearGuide):
    """The gradient of log E[exp(slope * clean) | noisy], which makes the result the data tilted by exp(slope * x)."""

    def __init__(self, scheduler, slope: float) -> None:
        super().__init__(slope, num_steps=1)
        self.schedule = NoiseSchedule(scheduler)

    def shift(self, trajectories, timestep, variance, given):
        signal, noise = float(self.schedule.signal[timestep]), float(self.schedule.noise[timestep])
        gain = DEVIATION**2 * signal / (DEVIATION**2 * signal**2 + noise**2)
        return variance * torch.full_like(trajectories, self.slope) * gain


def moments(scheduler, cls, guide: LinearGuide) -> tuple[float, float]:
    """Mean and deviation of the result, from the recursion of the moments; every step is linear."""
    betas = scheduler.betas.double().numpy()
    signal = np.cumprod(1 - betas)
    mean, variance = 0.0, 1.0
    for t in reversed(range(len(betas))):
        before = signal[t - 1] if t else 1.0
        noise = betas[t] * (1 - before) / (1 - signal[t])
        shift = guide.num_steps * guide.slope * noise if guide.acts_at(t) else 0.0
        gain = DEVIATION**2 * np.sqrt(signal[t]) / (DEVIATION**2 * signal[t] + 1 - signal[t])
        to_clean = betas[t] * np.sqrt(before) / (1 - signal[t])
        slope = to_clean * gain + (1 - before) * np.sqrt(1 - betas[t]) / (1 - signal[t])
        shifted = mean + shift if cls is SampleShiftSampler else mean
        mean = slope * shifted + to_clean * (1 - gain * np.sqrt(signal[t])) * MEAN
        mean += shift if cls is MeanShiftSampler else 0.0
        variance = slope**2 * variance + noise
    return mean, np.sqrt(variance)


def draw(cls, model, guide, num_inference_steps=None) -> torch.Tensor:
    """32,768 independent entries."""
    nothing = Conditions(torch.zeros(1, 64, 128, dtype=torch.bool), torch.zeros(4, 64, 128))
    generators = [torch.Generator().manual_seed(seed) for seed in range(2)]
    return cls(model.scheduler, num_inference_steps).sample(model, nothing, generators, guide)


@pytest.mark.parametrize("cls", GUIDED)
@pytest.mark.parametrize("guide", [LinearGuide(0.4, 2), LinearGuide(-1.0, 1, last=4), LinearGuide(0.7, 3, last=2)])
def test_the_guided_distribution_is_the_one_that_the_mathematics_predicts(cls, guide, make_scheduler, make_model):
    scheduler = make_scheduler("ddpm", 20)
    model = make_model(scheduler, layout=TransitionLayout(64, 64), horizon=64)
    mean, deviation = moments(scheduler, cls, guide)
    sample = draw(cls, model, guide)
    # Four standard errors of the mean of 32,768 entries, and of their deviation.
    assert sample.mean().item() == pytest.approx(mean, abs=0.011)
    assert sample.std().item() == pytest.approx(deviation, abs=0.008)
    assert abs(mean - MEAN) > 0.1


@pytest.mark.parametrize(("cls", "name"), [pair for pair in PAIRS if pair[1] != "lcm"])
def test_the_exact_gradient_gives_the_tilted_data_in_the_limit_of_many_steps(cls, name, make_scheduler, make_model):
    scheduler, slope = make_scheduler(name, 1000), 1.0
    model = make_model(scheduler, layout=TransitionLayout(64, 64), horizon=64)
    # A solver without noise of its own follows the flow of probability, which half the variance would steer as much.
    tilt = slope if name in ANCESTRAL else 2 * slope
    errors = []
    for steps in (50, 200):
        sample = draw(cls, model, TiltGuide(scheduler, slope), steps)
        errors.append(abs(sample.mean().item() - (MEAN + tilt * DEVIATION**2)))
    # First order: four times the steps leave a quarter of the error, give or take four standard errors.
    assert errors[1] < 0.35 * errors[0] + 0.011
    assert errors[1] < 0.08
    assert sample.std().item() == pytest.approx(DEVIATION, abs=0.015)


@pytest.mark.parametrize("cls", GUIDED)
@pytest.mark.parametrize(("sigmas", "network"), [("euler", "ddim"), ("euler_ancestral", "ddpm")])
def test_schedulers_in_sigmas_are_guided_as_their_twins(cls, sigmas, network, make_scheduler, make_model):
    samples = [
        cls(scheduler, 5).sample(make_model(scheduler), start_conditions(2), generators(1, 2), LinearGuide(0.5))
        for scheduler in (make_scheduler(sigmas, 20), make_scheduler(network, 20))
    ]
    # Sigma reaches 406, of which single precision keeps four decimals.
    torch.testing.assert_close(*samples, atol=1e-4, rtol=0)


@pytest.mark.parametrize("cls", GUIDED)
@pytest.mark.parametrize(("name", "steps"), [("heun", [19, 15, 11, 7, 3]), ("dpm_solver_singlestep", [19, 11, 3])])
def test_a_step_of_several_calls_is_steered_once(cls, name, steps, make_scheduler, make_model):
    scheduler, guide = make_scheduler(name, 20), LinearGuide(0.5, num_steps=1)
    asked = []
    guide.shift = lambda trajectories, timestep, variance, given: asked.append(int(timestep)) or 0.0 * trajectories
    cls(scheduler, 5).sample(make_model(scheduler), start_conditions(1), generators(1), guide)
    assert asked == (steps if cls is SampleShiftSampler else steps[1:])


def start_conditions(batch: int) -> Conditions:
    return FirstState().from_observations(torch.full((batch, 1, 4), 0.3), 8, LAYOUT)


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@pytest.mark.parametrize(("cls", "name"), PAIRS)
def test_every_scheduler_can_be_guided_in_few_steps(cls, name, make_scheduler, make_model):
    scheduler = make_scheduler(name, 20)
    model, conditions = make_model(scheduler), start_conditions(3)
    free, up, down = (
        cls(scheduler, 5).sample(model, conditions, generators(1, 2, 3), guide)
        for guide in (None, LinearGuide(0.5), LinearGuide(-0.5))
    )
    assert (up[:, 1:] > free[:, 1:]).all()
    assert (down[:, 1:] < free[:, 1:]).all()
    for sample in (free, up, down):
        assert torch.equal(sample[:, 0, 2:], conditions.values[:, 0, 2:])


@pytest.mark.parametrize("cls", GUIDED)
@pytest.mark.parametrize("guide", [None, NoGuide(), LinearGuide(0.5, last=99)])
def test_a_guide_that_never_acts_changes_nothing(cls, guide, make_scheduler, make_model):
    scheduler = make_scheduler("ddpm", 8)
    model, conditions = make_model(scheduler), start_conditions(2)
    unguided = UnguidedSampler(scheduler).sample(model, conditions, generators(1, 2))
    assert torch.equal(cls(scheduler).sample(model, conditions, generators(1, 2), guide), unguided)


@pytest.mark.parametrize("cls", [UnguidedSampler, *GUIDED])
def test_one_generator_may_serve_several_trajectories_in_a_row(cls, make_scheduler, make_model):
    scheduler = make_scheduler("ddpm", 8)
    model, guide = make_model(scheduler), None if cls is UnguidedSampler else LinearGuide(0.2)
    together = cls(scheduler).sample(model, start_conditions(6), generators(1, 2), guide)
    alone = cls(scheduler).sample(model, start_conditions(3), generators(2), guide)
    assert torch.allclose(together[3:], alone, atol=1e-6)
    assert not torch.allclose(together[0], together[1])


def test_trajectories_that_generators_cannot_share_are_a_programming_error(make_scheduler, make_model):
    scheduler = make_scheduler("ddpm", 8)
    with pytest.raises(ValueError, match="2 generators cannot share 3 trajectories"):
        UnguidedSampler(scheduler).sample(make_model(scheduler), start_conditions(3), generators(1, 2))


@pytest.mark.parametrize("cls", [UnguidedSampler, *GUIDED])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_warm_start_takes_the_last_steps_and_stays_near_where_it_began(cls, name, make_scheduler, make_model):
    scheduler = make_scheduler(name, 20)
    model, conditions = make_model(scheduler), start_conditions(2)
    clean = torch.full((2, 8, 6), 0.9)
    distances = []
    for num_steps in (1, 10, 20):
        model.backbone.batch_sizes.clear()
        warm = cls(scheduler).sample(model, conditions, generators(1, 2), start=WarmStart(clean, num_steps))
        assert model.backbone.batch_sizes == [2] * (2 * num_steps - 1 if name == "heun" else num_steps)
        distances.append((warm[:, 1:] - 0.9).abs().mean().item())
    # LCM draws new noise at every step, so that half of them forget as much as all.
    assert distances[0] < distances[1] < distances[2] or (name == "lcm" and distances[0] < distances[2])


@pytest.mark.parametrize("num_steps", [0, 6])
def test_a_warm_start_longer_than_the_sampler_is_refused(num_steps, make_scheduler, make_model):
    scheduler = make_scheduler("ddim", 20)
    with pytest.raises(ConfigError, match=f"between 1 and the sampler's 5 denoising steps, got {num_steps}"):
        SampleShiftSampler(scheduler, 5).sample(
            make_model(scheduler), start_conditions(1), generators(1), start=WarmStart(torch.zeros(1, 8, 6), num_steps)
        )


def test_the_chain_begins_with_noise_and_ends_with_the_sample(make_scheduler, make_model):
    scheduler = make_scheduler("ddpm", 8)
    sampler, model = SampleShiftSampler(scheduler), make_model(scheduler)
    chain = list(sampler.chain(model, start_conditions(1), generators(1), LinearGuide()))
    assert len(chain) == 9
    assert torch.equal(chain[-1], sampler.sample(model, start_conditions(1), generators(1), LinearGuide()))


@pytest.mark.parametrize("name", SCHEDULERS)
def test_chains_of_one_sampler_may_run_side_by_side(name, make_scheduler, make_model):
    scheduler = make_scheduler(name, 20)
    sampler, model = SampleShiftSampler(scheduler, 5), make_model(scheduler)
    chains = [sampler.chain(model, start_conditions(1), generators(seed), LinearGuide()) for seed in (1, 2)]
    for seed, (*_, last) in zip((1, 2), zip(*zip(*chains, strict=True), strict=True), strict=True):
        assert torch.equal(last, sampler.sample(model, start_conditions(1), generators(seed), LinearGuide()))


def test_the_unguided_sampler_refuses_a_guide(make_scheduler, make_model):
    scheduler = make_scheduler("ddpm", 8)
    with pytest.raises(ConfigError, match="cannot follow LinearGuide; choose sampler=sample_shift_sampler"):
        UnguidedSampler(scheduler).sample(make_model(scheduler), start_conditions(1), generators(1), LinearGuide())


def test_the_mean_shift_says_which_scheduler_hides_its_mean():
    scheduler = DPMSolverMultistepScheduler(
        20,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="sample",
        algorithm_type="sde-dpmsolver++",
        timestep_spacing="trailing",
    )
    with pytest.raises(ConfigError, match="DPMSolverMultistepScheduler gives only its noisy result"):
        MeanShiftSampler(scheduler).check_guide(LinearGuide())
    MeanShiftSampler(scheduler).check_guide(NoGuide())
