import pytest
import torch

from diffplan.config.paths import CONF_DIR
from diffplan.errors import ConfigError
from diffplan.method.noise.reverse_process import ReverseProcess
from diffplan.method.noise.schedule import NoiseSchedule

# NumPy's complaints about how diffusers turns a tensor into an array; nothing here can change it.
pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")

NAMES = sorted(path.stem for path in (CONF_DIR / "scheduler").glob("*.yaml"))


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def run(process: ReverseProcess, output, sample: torch.Tensor, num_steps: int | None = None) -> torch.Tensor:
    for call in process.start(num_steps or process.num_steps):
        sample = process.step(output(process, call, sample), call, sample, generators(0)).result
    return sample


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", [1, 2, 3, 5, 7, 10, 19, 20])
def test_a_network_that_knows_the_clean_trajectory_gets_it_back(name, steps, make_scheduler):
    process = ReverseProcess(make_scheduler(name), steps)
    schedule, clean = NoiseSchedule(make_scheduler(name)), torch.randn(1, 8, 3)

    def output(process, call, sample):
        level = process.levels[call]
        noise = (sample - level.signal * clean) / level.noise
        return noise - clean if schedule.is_flow else clean

    # Sigma reaches 406, of which single precision keeps four decimals.
    torch.testing.assert_close(run(process, output, torch.randn(1, 8, 3)), clean, atol=2e-4, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_samples_stay_in_the_network_s_units(name, make_scheduler):
    process, clean = ReverseProcess(make_scheduler(name), 10), torch.zeros(1, 64, 64)
    sample, drawn = torch.randn(1, 64, 64), generators(0)
    for call in process.start(10):
        level = process.levels[call]
        # Where nothing is known, everything is noise.
        assert sample.std().item() == pytest.approx(level.noise, rel=0.25)
        noise = sample / level.noise
        output = noise if process.scheduler.config.get("prediction_type") is None else clean
        sample = process.step(output, call, sample, drawn).result


@pytest.mark.parametrize(("sigmas", "network"), [("euler", "ddim"), ("euler_ancestral", "ddpm")])
@pytest.mark.parametrize("steps", [3, 7, 20])
@pytest.mark.parametrize("kind", ["sample", "epsilon", "v_prediction"])
def test_schedulers_in_sigmas_take_the_steps_of_their_twins(sigmas, network, steps, kind, make_scheduler):
    outputs, start = torch.randn(20, 1, 8, 3), torch.randn(1, 8, 3)
    results = []
    for name in (sigmas, network):
        process = ReverseProcess(make_scheduler(name, prediction_type=kind), steps)
        noise = generators(3)
        sample = start
        for call in process.start(steps):
            sample = process.step(outputs[call], call, sample, noise).result
        results.append(sample)
    # An epsilon is divided by a signal of 0.0025 in the first step.
    torch.testing.assert_close(*results, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("name", "calls"), [("heun", 9), ("ddpm", 5), ("dpm_solver_singlestep", 5), ("lcm", 5)])
def test_calls_are_counted_and_begin_with_all_noise(name, calls, make_scheduler):
    process = ReverseProcess(make_scheduler(name), 5)
    assert len(process) == len(process.timesteps) == calls
    assert process.timesteps[0] == 19
    assert process.levels[-1].noise == 0


@pytest.mark.parametrize(
    ("name", "beginnings"),
    [("ddim", [0, 1, 2, 3, 4]), ("heun", [0, 2, 4, 6, 8]), ("dpm_solver_singlestep", [0, 2, 4])],
)
def test_a_step_of_several_calls_begins_once_and_ends_once(name, beginnings, make_scheduler):
    process = ReverseProcess(make_scheduler(name), 5)
    calls = process.start(5)
    assert [call for call in calls if process.begins(call)] == beginnings
    assert [call + 1 for call in calls if process.ends(call)] == [*beginnings[1:], len(process)]
    assert process.first(beginnings[1] + 1 if name != "ddim" else 1) == beginnings[1]


def test_the_posterior_of_a_step_of_several_calls_spans_it(make_scheduler):
    heun, ddim = ReverseProcess(make_scheduler("heun"), 5), ReverseProcess(make_scheduler("ddim"), 5)
    heun.start(5), ddim.start(5)
    for call in range(8):
        assert heun.posterior(call).variance == ddim.posterior(call // 2).variance


@pytest.mark.parametrize("name", NAMES)
def test_the_last_steps_alone_begin_at_their_level_and_end_clean(name, make_scheduler):
    process = ReverseProcess(make_scheduler(name), 6)
    whole = list(dict.fromkeys(process.timesteps))
    for num_steps in (1, 3, 6):
        calls = process.start(num_steps)
        assert list(dict.fromkeys(process.timesteps[call] for call in calls)) == whole[-num_steps:]
        assert process.begins(calls[0])


@pytest.mark.parametrize("name", [name for name in NAMES if name != "lcm"])
def test_the_last_steps_alone_carry_known_noise_to_the_clean_trajectory(name, make_scheduler):
    clean, noise = torch.randn(2, 1, 8, 3)
    process = ReverseProcess(make_scheduler(name), 10)
    calls = process.start(4)
    sample = process.noised(clean, noise, calls[0])
    for call in calls:
        level = process.levels[call]
        is_flow = process.scheduler.config.get("prediction_type") is None
        output = (sample - level.signal * clean) / level.noise - clean if is_flow else clean
        sample = process.step(output, call, sample, generators(0)).result
    torch.testing.assert_close(sample, clean, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["ddim", "ddpm"])
def test_steps_that_do_not_divide_the_trained_ones_end_clean(name, make_scheduler):
    # diffusers' DDIM would take every step for 64 // 5 = 12 timesteps, and end at timestep 0 with its noise.
    process = ReverseProcess(make_scheduler(name, 64), 5)
    assert process.timesteps == [63, 50, 37, 25, 12]
    clean = torch.randn(1, 8, 3)
    torch.testing.assert_close(run(process, lambda *_: clean, torch.randn(1, 8, 3)), clean, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("ddim", {"timestep_spacing": "leading"}, "would begin at timestep 16, where a plan is not all noise"),
        ("heun", {"timestep_spacing": "linspace"}, "at timesteps that the network was not trained on"),
        ("dpm_solver", {"final_sigmas_type": "sigma_min"}, "would leave noise in the plan"),
        ("ddim", {"set_alpha_to_one": False}, "would leave noise in the plan"),
        ("unipc", {"use_flow_sigmas": True}, "not trained on|would begin|not those of its timesteps"),
        ("lcm", {"original_inference_steps": 4}, "cannot take 5 steps"),
    ],
)
def test_settings_under_which_plans_would_be_wrong_are_refused(name, settings, message, make_scheduler):
    with pytest.raises(ConfigError, match=message):
        ReverseProcess(make_scheduler(name, **settings), 5)


def test_a_number_of_steps_that_diffusers_rounds_wrongly_is_refused(make_scheduler):
    with pytest.raises(ConfigError, match="rounds 49 steps to one too many; take 48 or 50"):
        ReverseProcess(make_scheduler("ddpm", 64), 49)


def test_a_guided_unipc_does_not_take_back_what_the_guide_added(make_scheduler):
    results = []
    for moved in (0.0, 1.0):
        process, sample = ReverseProcess(make_scheduler("unipc"), 5), torch.ones(1, 8, 3)
        for call in process.start(5, is_guided=True):
            result = process.step(torch.zeros(1, 8, 3), call, sample, generators(0)).result
            sample = result + (moved if call == 2 else 0.0)
            if call == 3:
                results.append(result)
    assert ((results[1] - results[0]) > 0.3).all()
