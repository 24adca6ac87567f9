import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler

from diffplan.config.paths import CONF_DIR
from diffplan.errors import TaskMismatchError
from diffplan.method.noise.posterior import Level
from diffplan.method.noise.schedule import NoiseSchedule, check_same_process, denoised_estimate, training_target
from tests.method.noise.conftest import scheduler_from_yaml

# NumPy's complaint about how diffusers turns a tensor into an array; nothing here can change it.
pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")

FLOW = CONF_DIR / "scheduler" / "flow_match_euler.yaml"
YAMLS = [path for path in sorted((CONF_DIR / "scheduler").glob("*.yaml")) if path != FLOW]
KINDS = ("sample", "epsilon", "v_prediction")


def ddpm(**settings):
    return scheduler_from_yaml(CONF_DIR / "scheduler" / "ddpm.yaml", **settings)


def numbers(text: str) -> torch.Tensor:
    return torch.tensor([float(word) for word in text.split()], dtype=torch.float64)


BETAS = numbers(
    "0.007993 0.020075 0.032254 0.044681 0.05752 0.070957 0.08521 0.100547 0.117304 0.135922 0.156997 0.181359 0.210212"
    " 0.245372 0.289725 0.348137 0.429434 0.551024 0.748476 0.999"
)
ALPHAS_CUMPROD = numbers(
    "0.992007 0.972093 0.940739 0.898706 0.847012 0.78691 0.719858 0.647478 0.571527 0.493844 0.416312 0.34081 0.269168"
    " 0.203121 0.144272 0.094046 0.053659 0.024092 0.00606 6e-06"
)
POSTERIOR_VARIANCE = numbers(
    "0 0.00575 0.015189 0.02614 0.038084 0.050944 0.064815 0.079903 0.09651 0.115061 0.136143 0.160587 0.189605"
    " 0.225035 0.2698 0.328836 0.411107 0.534329 0.734897 0.992952"
)


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: path.stem)
def test_every_scheduler_config_is_diffuser_s_noise_schedule(path):
    scheduler = scheduler_from_yaml(path)
    # The tables are rounded to six digits.
    torch.testing.assert_close(scheduler.betas.double(), BETAS, atol=1e-6, rtol=0)
    torch.testing.assert_close(scheduler.alphas_cumprod.double(), ALPHAS_CUMPROD, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("steps", "index", "expected"),
    [(64, 0, 0.00119955), (64, 62, 0.749852), (256, 0, 0.000188827), (256, 254, 0.749991)],
)
def test_longer_schedules_are_diffuser_s_too(steps, index, expected):
    # The smallest betas are one minus a ratio near one in single precision.
    assert ddpm(diffusion_steps=steps).betas[index].item() == pytest.approx(expected, abs=2e-6)


def test_ddpm_steps_have_the_true_posterior_s_mean_and_variance():
    scheduler = ddpm()
    scheduler.set_timesteps(20)
    assert scheduler.timesteps.tolist() == list(range(19, -1, -1))
    clean, noisy = torch.zeros(1, 40_000), torch.ones(1, 40_000)
    alphas_cumprod, betas = scheduler.alphas_cumprod.double(), scheduler.betas.double()
    for timestep in (19, 10, 1):
        drawn = scheduler.step(clean, timestep, noisy, generator=torch.Generator().manual_seed(0)).prev_sample
        expected = (1 - alphas_cumprod[timestep - 1]) * (1 - betas[timestep]).sqrt() / (1 - alphas_cumprod[timestep])
        variance = POSTERIOR_VARIANCE[timestep].item()
        # Five standard errors of a mean and a variance of 40,000 draws.
        assert drawn.mean().item() == pytest.approx(expected.item(), abs=5 * (variance / 40_000) ** 0.5)
        assert drawn.var().item() == pytest.approx(variance, rel=5 * (2 / 40_000) ** 0.5)


def test_ddpm_s_last_step_returns_the_denoised_estimate_itself():
    scheduler, clean = ddpm(), torch.randn(2, 8, 3)
    scheduler.set_timesteps(20)
    drawn = scheduler.step(clean, 0, torch.randn(2, 8, 3), generator=torch.Generator().manual_seed(0)).prev_sample
    torch.testing.assert_close(drawn, clean, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cls", [DDPMScheduler, DDIMScheduler])
def test_the_exact_target_fed_back_gives_the_clean_sample(cls, kind):
    scheduler = cls(20, beta_schedule="squaredcos_cap_v2", prediction_type=kind, clip_sample=False)
    scheduler.set_timesteps(20)
    clean, noise = torch.randn(1, 8, 3), torch.randn(1, 8, 3)
    for timestep in range(20):
        timesteps = torch.tensor([timestep])
        noisy = scheduler.add_noise(clean, noise, timesteps)
        output = training_target(scheduler, clean, noise, timesteps)
        recovered = scheduler.step(output, timestep, noisy).pred_original_sample
        # Recovering x from noise divides by sqrt(abar), which is 0.0025 at the last timestep.
        tolerance = 1e-6 / scheduler.alphas_cumprod[timestep].sqrt().item()
        torch.testing.assert_close(recovered, clean, atol=max(tolerance, 1e-5), rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_exact_target_means_the_clean_sample_to_dpm_solver_too(kind):
    scheduler = DPMSolverMultistepScheduler(20, beta_schedule="squaredcos_cap_v2", prediction_type=kind)
    scheduler.set_timesteps(20)
    clean, noise = torch.randn(1, 8, 3), torch.randn(1, 8, 3)
    for step, timestep in enumerate(scheduler.timesteps.tolist()):
        timesteps = torch.tensor([timestep])
        output = training_target(scheduler, clean, noise, timesteps)
        scheduler._step_index = step
        recovered = scheduler.convert_model_output(output, sample=scheduler.add_noise(clean, noise, timesteps))
        tolerance = 1e-5 / scheduler.alphas_cumprod[timestep].sqrt().item()
        torch.testing.assert_close(recovered, clean, atol=tolerance, rtol=0)


def test_each_sample_has_its_own_timestep():
    scheduler = ddpm(prediction_type="v_prediction")
    clean, noise, timesteps = torch.ones(2, 4, 3), torch.zeros(2, 4, 3), torch.tensor([0, 7])
    target = training_target(scheduler, clean, noise, timesteps)
    expected = -(1 - ALPHAS_CUMPROD[timesteps]).sqrt().float()
    torch.testing.assert_close(target[:, 0, 0], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("path", YAMLS, ids=lambda path: path.stem)
def test_a_model_may_be_sampled_with_every_configured_scheduler(path):
    check_same_process(ddpm(), scheduler_from_yaml(path))


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        ({"prediction_type": "epsilon"}, "trained with prediction_type=sample, but the sampler has epsilon"),
        ({"diffusion_steps": 64}, "trained with 20 diffusion steps, but .* num_train_timesteps=64"),
        ({"beta_schedule": "linear"}, "another noise schedule"),
    ],
)
def test_sampling_another_process_than_the_trained_one_is_refused(sampling, message):
    with pytest.raises(TaskMismatchError, match=message):
        check_same_process(ddpm(), ddpm(**sampling))


def test_a_flow_and_a_diffusion_do_not_sample_each_other():
    flow = scheduler_from_yaml(FLOW)
    check_same_process(flow, flow)
    with pytest.raises(TaskMismatchError, match=r"trained as a diffusion, but FlowMatchEuler.* samples a flow"):
        check_same_process(ddpm(), flow)
    with pytest.raises(TaskMismatchError, match=r"trained as a flow, .* choose scheduler=flow_match_euler"):
        check_same_process(flow, ddpm())


@pytest.mark.parametrize("kind", [*KINDS, "flow"])
def test_the_exact_target_means_the_clean_trajectory(kind):
    scheduler = scheduler_from_yaml(FLOW) if kind == "flow" else ddpm(prediction_type=kind)
    schedule = NoiseSchedule(scheduler)
    clean, noise = torch.randn(2, 1, 8, 3)
    for t in range(20):
        timesteps = torch.tensor([t])
        noisy = schedule.add_noise(clean, noise, timesteps)
        target = training_target(scheduler, clean, noise, timesteps)
        level = Level(float(schedule.signal[t]), float(schedule.noise[t]))
        # Recovering x from noise divides by the signal, which is 0.0025 at the last timestep.
        tolerance = 1e-5 / level.signal if kind == "epsilon" else 1e-5
        torch.testing.assert_close(denoised_estimate(kind, target, noisy, level), clean, atol=tolerance, rtol=0)
