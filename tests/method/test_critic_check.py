import math

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler

from diffplan.errors import CheckpointError
from diffplan.method.conditioning import FirstState
from diffplan.method.critic import CriticQuality, LevelQuality, ReturnTarget, TrajectoryCritic
from diffplan.method.critic_check import CriticCheck, HeldOutSample, _dyadic_error, ordering, prediction_errors
from diffplan.method.network.value_unet import ValueUnet
from diffplan.method.normalizer import LimitsNormalizer
from diffplan.method.trajectory import TransitionLayout

HORIZON, LAYOUT = 4, TransitionLayout(1, 2)


class Linear(ValueUnet):
    """A critic whose value is known: a weighted sum of the entries of a plan."""

    def __init__(self, weights: torch.Tensor) -> None:
        torch.nn.Module.__init__(self)
        self.weights = weights

    def forward(self, trajectories, timesteps):
        return (trajectories * self.weights).sum(dim=(1, 2))


def weights_of(row: int, column: int) -> torch.Tensor:
    weights = torch.zeros(HORIZON, 3)
    weights[row, column] = 1.0
    return weights


def critic_of(weights: torch.Tensor, num_timesteps: int = 20) -> TrajectoryCritic:
    scheduler = DDPMScheduler(num_timesteps, beta_schedule="squaredcos_cap_v2", prediction_type="sample")
    return TrajectoryCritic(
        Linear(weights), LimitsNormalizer(3), scheduler, LAYOUT, HORIZON, 1, ReturnTarget(), torch.tensor(100.0),
        torch.tensor(10.0), FirstState(),
    )  # fmt: skip


def sample_of(weights: torch.Tensor, num_drawn: int = 40) -> HeldOutSample:
    """Windows of as many episodes, whose returns are 100 and ten times a weighted sum of their entries."""
    trajectories = torch.randn(2 * num_drawn, HORIZON, 3, generator=torch.Generator().manual_seed(0))
    numbers = torch.arange(num_drawn)
    returns = 100 + 10 * (trajectories * weights).sum(dim=(1, 2))
    pairs = torch.stack([numbers, numbers + num_drawn], dim=1)
    return HeldOutSample(trajectories, returns, torch.arange(2 * num_drawn), pairs, num_drawn)


def test_an_exact_critic_explains_everything_and_orders_all_pairs_rightly_at_every_noise():
    """The first observation is given, so noise does not reach it."""
    weights = weights_of(row=0, column=1)
    critic = critic_of(weights)
    quality = CriticCheck(critic, sample_of(weights)).quality(critic, step=7)
    assert [level.name for level in quality.levels] == ["clean", "t0", "t5", "t10", "t14", "t19"]
    assert (quality.step, quality.num_episodes, quality.num_windows) == (7, 40, 40)
    for level in quality.levels:
        assert level.rmse == pytest.approx(0.0, abs=1e-4)
        assert level.bias == pytest.approx(0.0, abs=1e-4)
        assert level.r2 == pytest.approx(1.0)
        assert level.correlation == pytest.approx(1.0)
        assert (level.ordering, level.ordering_stderr) == (1.0, 0.0)
    assert quality.mean_r2 == pytest.approx(1.0)
    assert quality.warning is None


def test_noise_costs_a_critic_what_it_can_no_longer_see():
    """Of a plan's later entry, signal and noise are seen; the value's error is known."""
    weights = weights_of(row=2, column=1)
    critic = critic_of(weights)
    check = CriticCheck(critic, sample_of(weights, num_drawn=4000))
    quality, signal = check.quality(critic, 0), critic.scheduler.alphas_cumprod.sqrt()
    assert quality.levels[0].r2 == pytest.approx(1.0)
    for level in quality.levels[1:]:
        kept = float(signal[level.timestep])
        # The error is ten times (signal - 1) of an entry and ten times the noise, both of variance one; 4,000 windows.
        assert level.rmse == pytest.approx(10 * math.sqrt((1 - kept) ** 2 + 1 - kept**2), rel=0.06)
    assert [level.r2 for level in quality.levels] == sorted((level.r2 for level in quality.levels), reverse=True)


def test_a_critic_of_the_wrong_sign_is_worse_than_chance_and_one_that_sees_nothing_no_better():
    weights = weights_of(row=0, column=1)
    check = CriticCheck(critic_of(weights), sample_of(weights))
    wrong, blind = (check.quality(critic_of(factor * weights), 0) for factor in (-1, 0))
    assert wrong.levels[0].ordering == 0.0
    assert "worse than chance: 0% of the pairs rightly" in wrong.warning
    assert wrong.levels[0].correlation == pytest.approx(-1.0)
    assert blind.levels[0].ordering == 0.5
    assert blind.levels[0].r2 == pytest.approx(0.0, abs=0.1)
    assert "no better than chance: 50% of the pairs rightly, 95 % interval 50% to 50%" in blind.warning


def test_two_checks_of_one_critic_give_the_same_numbers_and_leave_global_randomness_alone():
    weights = weights_of(row=2, column=0)
    critic, before = critic_of(weights), torch.get_rng_state()
    first, second = (CriticCheck(critic, sample_of(weights)).quality(critic, 0) for _ in range(2))
    assert first == second
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("num_timesteps", "timesteps"), [(1, [0]), (3, [0, 1, 2]), (100, [0, 25, 50, 74, 99])])
def test_few_noise_levels_are_all_measured(num_timesteps, timesteps):
    weights = weights_of(0, 1)
    check = CriticCheck(critic_of(weights, num_timesteps), sample_of(weights))
    assert check.timesteps == [None, *timesteps]


def test_errors_are_those_of_the_textbook():
    values, returns = np.array([1.0, 2.0, 4.0]), np.array([0.0, 3.0, 3.0])
    errors = prediction_errors(values, returns)
    assert errors["rmse"] == pytest.approx(1.0)
    assert errors["bias"] == pytest.approx(1 / 3)
    assert errors["r2"] == pytest.approx(1 - 3 / 6)
    assert errors["correlation"] == pytest.approx(np.corrcoef(values, returns)[0, 1])
    constant = prediction_errors(values, np.ones(3))
    assert (constant["r2"], constant["correlation"]) == (0.0, 0.0)


def test_equal_returns_do_not_count_and_equal_values_count_half():
    values, returns = np.array([1.0, 1.0, 2.0, 3.0]), np.array([5.0, 6.0, 6.0, 7.0])
    pairs = np.array([[0, 1], [1, 2], [2, 3]])
    assert ordering(values, returns, np.arange(4), pairs)["ordering"] == pytest.approx(0.75)
    assert ordering(values, np.ones(4), np.arange(4), pairs) == {}


def test_pairs_of_the_same_episodes_tell_nothing_new():
    deviations = np.random.default_rng(0).choice([-0.5, 0.5], 30)
    episodes = np.arange(60).reshape(30, 2)
    error, half = _dyadic_error(deviations, episodes)
    # Pairs of different episodes are independent: the error of a mean, with one degree of freedom less than episodes.
    assert error == pytest.approx(math.sqrt((deviations**2).sum() * 60 / 59) / 30)
    assert half == pytest.approx(2.001 * error, rel=0.001)
    repeated, _ = _dyadic_error(np.repeat(deviations, 5), np.repeat(episodes, 5, axis=0))
    assert repeated == pytest.approx(error)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Values and returns of whole episodes vary together, so single pairs are far from independent."""
    random, hits = np.random.default_rng(0), 0
    for _ in range(400):
        values, returns = (np.repeat(random.normal(size=12), 30) + random.normal(size=360) for _ in range(2))
        episodes = np.repeat(np.arange(12), 30)
        pairs = random.integers(360, size=(300, 2))
        pairs = pairs[episodes[pairs[:, 0]] != episodes[pairs[:, 1]]]
        found = ordering(values, returns, episodes, pairs)
        hits += found["ordering_low"] <= 0.5 <= found["ordering_high"]
    # Independent pairs would hold the truth in about half of the cases.
    assert hits / 400 > 0.9


def test_what_a_critic_is_worth_is_interpolated_between_noise_levels():
    levels = [LevelQuality(timestep, 1.0, r2, 0.0, 0.0) for timestep, r2 in ((None, 0.9), (0, 0.8), (10, 0.4))]
    quality = CriticQuality(5, 2, 10, tuple(levels))
    assert [quality.at(timestep, "r2") for timestep in (0, 5, 10, 15)] == pytest.approx([0.8, 0.6, 0.4, 0.4])
    assert quality.mean_r2 == pytest.approx(0.7)
    assert "no two windows of one state" in quality.warning


@pytest.mark.parametrize(
    "change", [{"r2": 1.5}, {"rmse": -1.0}, {"bias": math.nan}, {"ordering": 2.0}, {"timestep": -1}]
)
def test_numbers_that_cannot_be_are_refused(change):
    with pytest.raises(CheckpointError, match="on held-out episodes cannot be"):
        LevelQuality(**{"timestep": 0, "rmse": 1.0, "r2": 0.0, "bias": 0.0, "correlation": 0.0} | change)


def test_levels_in_another_order_are_refused():
    clean, first, second = (LevelQuality(timestep, 1.0, 0.0, 0.0, 0.0) for timestep in (None, 0, 5))
    for levels in ((), (clean,), (first, clean), (clean, second, first), (clean, first, first)):
        with pytest.raises(CheckpointError, match="for clean windows, then for rising timesteps"):
            CriticQuality(0, 1, 1, levels)
