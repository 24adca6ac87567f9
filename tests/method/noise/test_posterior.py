import pytest

from diffplan.method.noise.posterior import Level, posterior
from diffplan.method.noise.reverse_process import ReverseProcess

# NumPy's complaints about how diffusers turns a tensor into an array; nothing here can change it.
pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")

# The released code's, for 20 steps.
RELEASED = [
    0, 0.00575, 0.015189, 0.02614, 0.038084, 0.050944, 0.064815, 0.079903, 0.09651, 0.115061, 0.136143, 0.160587,
    0.189605, 0.225035, 0.2698, 0.328836, 0.411107, 0.534329, 0.734897, 0.992952,
]  # fmt: skip


@pytest.mark.parametrize("name", ["ddpm", "euler"])
def test_it_equals_the_released_code_s_where_every_step_is_taken(name, make_scheduler):
    process = ReverseProcess(make_scheduler(name), 20)
    process.start(20)
    variances = [process.posterior(call).variance.item() for call in range(20)]
    assert variances[::-1] == pytest.approx(RELEASED, abs=1e-5)


def test_the_last_step_is_the_denoised_estimate_itself():
    last = posterior(Level(0.8, 0.6), Level(1.0, 0.0))
    assert [last.variance.item(), last.clean_weight.item(), last.noisy_weight.item()] == pytest.approx([0, 1, 0])


@pytest.mark.parametrize(
    ("now", "before"),
    [(Level(0.3, 0.91**0.5), Level(0.7, 0.51**0.5)), (Level(0.2, 0.8), Level(0.5, 0.5))],
)
def test_a_jump_is_what_bayes_makes_of_two_levels_diffusion_or_flow(now, before):
    jump = posterior(now, before)
    # q(x_before | x_now, clean) from q(x_now | x_before), which adds noise of this variance, and q(x_before | clean).
    kept = now.signal / before.signal
    added = now.noise**2 - (kept * before.noise) ** 2
    precision = kept**2 / added + 1 / before.noise**2
    assert jump.variance.item() == pytest.approx(1 / precision)
    assert jump.noisy_weight.item() == pytest.approx(kept / added / precision)
    assert jump.clean_weight.item() == pytest.approx(before.signal / before.noise**2 / precision)
