import numpy as np
import pytest
import torch

from diffplan.method.conditioning import Conditions, FirstState
from diffplan.method.network.temporal_unet import TemporalUnet
from diffplan.method.sampler.guided_samplers import UnguidedSampler
from diffplan.method.trajectory import TransitionLayout

# NumPy's complaint about how diffusers turns a tensor into an array; nothing here can change it.
pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")

# The data of the exact denoiser.
MEAN, DEVIATION = 0.4, 0.5


def draw(model, num_inference_steps=None, scheduler=None) -> torch.Tensor:
    """32,768 independent entries."""
    nothing = Conditions(torch.zeros(1, 64, 128, dtype=torch.bool), torch.zeros(4, 64, 128))
    generators = [torch.Generator().manual_seed(seed) for seed in range(4)]
    return UnguidedSampler(scheduler or model.scheduler, num_inference_steps).sample(model, nothing, generators)


def ancestral_moments(scheduler) -> tuple[float, float]:
    """Mean and deviation that ancestral sampling reaches with the exact denoiser, from the recursion of its moments.

    With normal data the denoised estimate is linear in the sample, so every step maps a normal to a normal.
    """
    betas = scheduler.betas.double().numpy()
    signal = np.cumprod(1 - betas)
    mean, variance = 0.0, 1.0
    for t in reversed(range(len(betas))):
        before = signal[t - 1] if t else 1.0
        gain = DEVIATION**2 * np.sqrt(signal[t]) / (DEVIATION**2 * signal[t] + 1 - signal[t])
        to_clean = betas[t] * np.sqrt(before) / (1 - signal[t])
        to_noisy = (1 - before) * np.sqrt(1 - betas[t]) / (1 - signal[t])
        slope = to_clean * gain + to_noisy
        mean = slope * mean + to_clean * (1 - gain * np.sqrt(signal[t])) * MEAN
        variance = slope**2 * variance + betas[t] * (1 - before) / (1 - signal[t])
    return mean, np.sqrt(variance)


def test_ancestral_sampling_with_the_exact_denoiser_gives_back_the_data_s_distribution(make_scheduler, make_model):
    model = make_model(make_scheduler("ddpm", 1000), layout=TransitionLayout(64, 64), horizon=64)
    sample = draw(model)
    # Four standard errors: 0.5 / sqrt(32768) = 0.0028 of the mean, 0.5 / sqrt(2 * 32768) = 0.002 of the deviation.
    assert sample.mean().item() == pytest.approx(MEAN, abs=0.011)
    assert sample.std().item() == pytest.approx(DEVIATION, abs=0.008)


@pytest.mark.parametrize("diffusion_steps", [20, 100])
@pytest.mark.parametrize("kind", ["sample", "epsilon", "v_prediction"])
def test_few_steps_have_exactly_the_bias_that_the_mathematics_predicts(
    diffusion_steps, kind, make_scheduler, make_model
):
    scheduler = make_scheduler("ddpm", diffusion_steps, prediction_type=kind)
    model = make_model(scheduler, layout=TransitionLayout(64, 64), horizon=64)
    mean, deviation = ancestral_moments(scheduler)
    sample = draw(model)
    assert sample.mean().item() == pytest.approx(mean, abs=0.011)
    assert sample.std().item() == pytest.approx(deviation, abs=0.008)


def test_twenty_steps_lose_some_of_the_data_s_spread(make_scheduler):
    # The posterior variance of a step is that of known clean data: right in the limit, too small for large steps.
    mean, deviation = ancestral_moments(make_scheduler("ddpm", 20))
    assert mean == pytest.approx(MEAN, abs=1e-3)
    assert deviation < 0.97 * DEVIATION
    assert ancestral_moments(make_scheduler("ddpm", 1000))[1] == pytest.approx(DEVIATION, abs=0.003)


@pytest.mark.parametrize(("name", "steps"), [("ddim", 100), ("dpm_solver", 20), ("dpm_solver", 100)])
def test_deterministic_schedulers_carry_noise_to_data(name, steps, make_scheduler, make_model):
    model = make_model(make_scheduler("ddpm", 1000), layout=TransitionLayout(64, 64), horizon=64)
    sample = draw(model, steps, make_scheduler(name, 1000))
    # Sampling error as above, and one percent of the deviation for the solver's own.
    assert sample.mean().item() == pytest.approx(MEAN, abs=0.012)
    assert sample.std().item() == pytest.approx(DEVIATION, abs=0.013)


def test_one_ddim_step_from_noise_is_the_mean_of_the_data(make_scheduler, make_model):
    model = make_model(make_scheduler("ddim", 1000), layout=TransitionLayout(64, 64), horizon=64)
    # Nearly nothing of the data is left in the noise, so the best guess hardly depends on it.
    torch.testing.assert_close(draw(model, 1), torch.full((4, 64, 128), MEAN), atol=0.01, rtol=0)


def test_clipping_keeps_samples_in_range(make_scheduler, make_model):
    scheduler = make_scheduler("ddpm", 20, clip=True)
    model = make_model(scheduler, layout=TransitionLayout(64, 64), horizon=64)
    model.backbone.mean, model.backbone.deviation = 5.0, 0.01
    torch.testing.assert_close(draw(model), torch.ones(4, 64, 128), atol=1e-6, rtol=0)


def test_it_samples_what_the_released_code_samples(monkeypatch, make_scheduler, make_model):
    network = TemporalUnet(14).eval()
    for name, parameter in network.named_parameters():
        size = parameter.numel()
        values = np.random.RandomState(size).standard_normal(size).reshape(parameter.shape)
        if parameter.ndim == 1:
            values = 0.1 * values + name.endswith("normalization.weight")
        else:
            values = values / np.sqrt(size / parameter.shape[0])
        parameter.data.copy_(torch.as_tensor(values))

    def pattern(*shape):
        size = int(np.prod(shape))
        values = np.random.RandomState(size + 7).standard_normal(size)
        return torch.as_tensor(values.reshape(shape), dtype=torch.float32)

    # The reference was drawn without noise in the steps.
    monkeypatch.setattr(
        "diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda shape, **settings: torch.zeros(tuple(shape))
    )
    scheduler, layout = make_scheduler("ddpm", 20), TransitionLayout(3, 11)
    conditions = FirstState().from_observations(0.5 * pattern(2, 1, 11), 32, layout)
    model = make_model(scheduler, network, layout=layout, horizon=32)
    generators = [torch.Generator(), torch.Generator()]
    flat = UnguidedSampler(scheduler).sample(model, conditions, generators, initial=pattern(2, 32, 14)).flatten()
    # Printed with six digits by the original; twenty network calls in single precision.
    assert flat.sum().item() == pytest.approx(69.790064, abs=5e-3)
    assert flat.abs().sum().item() == pytest.approx(529.197277, abs=5e-3)
    torch.testing.assert_close(flat[:4], torch.tensor([0.908802, 0.215322, 0.111953, -0.208741]), atol=1e-4, rtol=0)
    torch.testing.assert_close(flat[-2:], torch.tensor([0.497463, -0.346675]), atol=1e-4, rtol=0)
