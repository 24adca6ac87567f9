import pytest
import torch
from diffusers import DDPMScheduler

from diffplan.method.noise.schedule import NoiseSchedule

# NumPy's complaints about how diffusers turns a tensor into an array; nothing here can change it.
pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")


@pytest.mark.parametrize("diffusion_steps", [20, 64, 1000])
def test_training_noise_is_diffusers_to_the_last_bit(diffusion_steps, make_scheduler):
    scheduler = make_scheduler("ddpm", diffusion_steps)
    clean, noise = torch.randn(2, diffusion_steps, 8, 3)
    timesteps = torch.arange(diffusion_steps)
    added = NoiseSchedule(scheduler).add_noise(clean, noise, timesteps)
    assert torch.equal(added, scheduler.add_noise(clean, noise, timesteps))


@pytest.mark.parametrize("name", ["ddpm", "heun", "euler_ancestral", "unipc"])
def test_schedulers_of_every_unit_show_the_network_the_same(name, make_scheduler):
    schedule, ddpm = NoiseSchedule(make_scheduler(name)), NoiseSchedule(make_scheduler("ddpm"))
    torch.testing.assert_close(schedule.signal, ddpm.signal)
    torch.testing.assert_close(schedule.signal**2 + schedule.noise**2, torch.ones(20, dtype=torch.float64))


def test_a_flow_goes_in_even_steps_from_nearly_clean_to_nothing_but_noise(make_scheduler):
    schedule = NoiseSchedule(make_scheduler("flow_match_euler"))
    torch.testing.assert_close(schedule.noise, torch.arange(1, 21, dtype=torch.float64) / 20, atol=1e-6, rtol=0)
    torch.testing.assert_close(schedule.signal, 1 - schedule.noise)


def test_a_flow_in_use_still_tells_its_trained_levels(make_scheduler):
    scheduler = make_scheduler("flow_match_euler")
    before = NoiseSchedule(scheduler).noise
    scheduler.set_timesteps(3)
    assert torch.equal(NoiseSchedule(scheduler).noise, before)


def test_one_timestep_may_serve_the_whole_batch():
    schedule = NoiseSchedule(DDPMScheduler(20, beta_schedule="squaredcos_cap_v2"))
    clean, noise = torch.randn(2, 5, 8, 3)
    together = schedule.add_noise(clean, noise, torch.tensor([7]))
    assert torch.equal(together, schedule.add_noise(clean, noise, torch.full((5,), 7)))
