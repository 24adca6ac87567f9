"""Schedulers from outside the repository: accepted by what they do, or refused with the reason."""

import importlib
import sys

import pytest
import torch
from hydra.utils import instantiate

from diffplan.errors import ConfigError
from diffplan.method.noise import supported_schedulers
from diffplan.method.noise.reverse_process import ReverseProcess
from diffplan.method.noise.scheduler_probe import open_process
from diffplan.method.noise.supported_schedulers import scheduler_facts

# NumPy's complaints about how diffusers turns a tensor into an array; nothing here can change it.
pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")

# A module of somebody else: subclasses of diffusers' schedulers, and one written from scratch.
HOMEMADE = '''
import torch
from diffusers import ConfigMixin, DDIMScheduler, DDPMScheduler, EulerDiscreteScheduler
from diffusers import SASolverScheduler, SchedulerMixin
from diffusers.configuration_utils import register_to_config
from diffusers.schedulers.scheduling_ddim import DDIMSchedulerOutput, betas_for_alpha_bar


class QuietScheduler(DDIMScheduler):
    """DDIM under another name."""


class LoudScheduler(DDPMScheduler):
    """DDPM under another name."""


class SteepScheduler(EulerDiscreteScheduler):
    """Euler under another name."""


class CorrectingScheduler(SASolverScheduler):
    """A subclass of one that is refused."""


class LeapScheduler(SchedulerMixin, ConfigMixin):
    """Steps from each timestep to the next as DDIM does, with faults on demand."""

    @register_to_config
    def __init__(self, num_train_timesteps=20, prediction_type="sample", fault=None):
        self.alphas_cumprod = torch.cumprod(1 - betas_for_alpha_bar(num_train_timesteps), dim=0)

    def set_timesteps(self, num_steps):
        trained = self.config.num_train_timesteps
        last = trained - 2 if self.config.fault == "begins late" else trained - 1
        self.timesteps = torch.linspace(last, trained // num_steps - 1, num_steps).round().long()
        self.steps = []

    def step(self, model_output, timestep, sample, generator=None):
        place = self.timesteps.tolist().index(int(timestep))
        now = self.alphas_cumprod[timestep]
        is_last = place + 1 == len(self.timesteps)
        clean = now.new_ones(()) if self.config.fault != "ends noisy" else now.new_tensor(0.9)
        then = clean if is_last else self.alphas_cumprod[self.timesteps[place + 1]]
        eps = (sample - now.sqrt() * model_output) / (1 - now).sqrt()
        noise = torch.randn(sample.shape, generator=generator[0] if isinstance(generator, list) else generator)
        if self.config.fault == "global noise":
            eps = torch.randn(sample.shape)
        if self.config.fault == "hidden noise":
            eps = noise
        if self.config.fault == "too little noise" and not is_last:
            eps = 0.5 * eps
        if self.config.fault == "posterior noise":
            kept = now / then
            mean = then.sqrt() * (1 - kept) / (1 - now) * model_output + kept.sqrt() * (1 - then) / (1 - now) * sample
            result = mean + ((1 - kept) * (1 - then) / (1 - now)).sqrt() * noise
        else:
            result = then.sqrt() * model_output + (1 - then).sqrt() * eps
        return DDIMSchedulerOutput(prev_sample=result, pred_original_sample=model_output)
'''


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Builds a scheduler of the module outside, as a yaml of one's own would."""
    (tmp_path / "homemade_schedulers.py").write_text(HOMEMADE)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield lambda name, **settings: instantiate({"_target_": f"homemade_schedulers.{name}", **settings})
    sys.modules.pop("homemade_schedulers", None)


@pytest.mark.parametrize(
    ("name", "twin"), [("QuietScheduler", "ddim"), ("LoudScheduler", "ddpm"), ("SteepScheduler", "euler")]
)
@pytest.mark.parametrize("kind", ["sample", "epsilon", "v_prediction"])
@pytest.mark.parametrize("steps", [1, 3, 20])
def test_a_subclass_of_a_listed_scheduler_takes_its_steps(make, make_scheduler, name, twin, kind, steps):
    listed = make_scheduler(twin, prediction_type=kind)
    settings = {key: value for key, value in listed.config.items() if not key.startswith("_") and value is not None}
    processes = [open_process(make(name, **settings), steps), ReverseProcess(listed, steps)]
    results = []
    for process in processes:
        sample, drawn = torch.ones(1, 8, 3), [torch.Generator().manual_seed(0)]
        for call in process.start(steps):
            sample = process.step(0.1 * sample, call, sample, drawn).result
        results.append(sample)
    assert torch.equal(*results)
    assert processes[0].facts.is_ancestral == processes[1].facts.is_ancestral or steps == 1


@pytest.mark.parametrize("steps", [1, 2, 5, 20])
def test_a_scheduler_written_from_scratch_is_accepted_by_what_it_does(make, steps):
    process = open_process(make("LeapScheduler"), steps)
    assert not process.facts.is_listed
    assert not process.facts.hides_noise
    assert process.timesteps[0] == 19


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("begins late", "would begin at timestep 18, where a plan is not all noise yet"),
        ("ends noisy", "with a network that knows the clean plan, its last step misses it by"),
        ("too little noise", "a sample should hold .* of the clean plan and .* of noise, but it holds"),
        ("global noise", "two runs with one generator differ"),
    ],
)
def test_a_scheduler_that_would_make_wrong_plans_is_refused_with_the_reason(make, fault, message):
    with pytest.raises(ConfigError, match=f"LeapScheduler.* {message}"):
        open_process(make("LeapScheduler", fault=fault), 5)


@pytest.mark.parametrize(
    ("fault", "is_ancestral", "hides_noise"), [("posterior noise", True, False), ("hidden noise", False, True)]
)
def test_what_noise_a_scheduler_adds_is_found_by_trying(make, fault, is_ancestral, hides_noise):
    facts = open_process(make("LeapScheduler", fault=fault), 5).facts
    assert (facts.is_ancestral, facts.hides_noise) == (is_ancestral, hides_noise)


def test_the_units_of_samples_are_found_by_trying(make, make_scheduler, monkeypatch):
    euler = make_scheduler("euler")
    # Without its line in the table, nothing is known of Euler.
    monkeypatch.delitem(supported_schedulers._TABLE, "EulerDiscreteScheduler")
    assert not scheduler_facts(euler).sigma_units
    assert open_process(euler, 5).facts.sigma_units


def test_a_subclass_of_a_refused_scheduler_is_refused_for_the_same_reason(make):
    with pytest.raises(ConfigError, match="CorrectingScheduler cannot denoise plans: it corrects each sample"):
        open_process(make("CorrectingScheduler"), 5)


def test_trying_a_scheduler_leaves_pytorch_s_random_numbers_alone(make):
    torch.manual_seed(0)
    wanted = torch.rand(())
    torch.manual_seed(0)
    open_process(make("LeapScheduler"), 5)
    assert torch.rand(()) == wanted
