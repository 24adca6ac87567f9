import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from diffplan.scheduler import posterior

# The released code's, for 20 steps.
RELEASED = [
    0, 0.00575, 0.015189, 0.02614, 0.038084, 0.050944, 0.064815, 0.079903, 0.09651, 0.115061, 0.136143, 0.160587,
    0.189605, 0.225035, 0.2698, 0.328836, 0.411107, 0.534329, 0.734897, 0.992952,
]  # fmt: skip


def test_it_equals_the_released_code_s_where_every_step_is_taken():
    scheduler = DDPMScheduler(20, beta_schedule="squaredcos_cap_v2")
    scheduler.set_timesteps(20)
    variances = [posterior(scheduler, torch.tensor(t)).variance.item() for t in range(20)]
    assert variances == pytest.approx(RELEASED, abs=1e-5)


def test_the_last_step_is_the_denoised_estimate_itself():
    scheduler = DDIMScheduler(20, beta_schedule="squaredcos_cap_v2", timestep_spacing="trailing")
    scheduler.set_timesteps(4)
    last = posterior(scheduler, scheduler.timesteps[-1])
    assert [last.variance.item(), last.clean_weight.item(), last.noisy_weight.item()] == pytest.approx([0, 1, 0])


def test_a_jump_over_several_timesteps_is_what_the_single_steps_make_together():
    scheduler = DDPMScheduler(20, beta_schedule="squaredcos_cap_v2", timestep_spacing="trailing")
    scheduler.set_timesteps(4)
    now, before = (int(t) for t in scheduler.timesteps[1:3])
    jump = posterior(scheduler, scheduler.timesteps[1])
    signal = scheduler.alphas_cumprod.double()
    # q(x_before | x_now, clean) by Bayes from q(x_now | x_before) and q(x_before | clean).
    kept = signal[now] / signal[before]
    precision = kept / (1 - kept) + 1 / (1 - signal[before])
    assert jump.variance.item() == pytest.approx((1 / precision).item(), rel=1e-5)
    assert jump.noisy_weight.item() == pytest.approx((kept.sqrt() / (1 - kept) / precision).item(), rel=1e-5)
    clean_weight = signal[before].sqrt() / (1 - signal[before]) / precision
    assert jump.clean_weight.item() == pytest.approx(clean_weight.item(), rel=1e-5)
