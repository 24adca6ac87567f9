import math
from dataclasses import replace

import pytest
import torch

from diffplan.errors import ConfigError
from diffplan.method.critic import CriticQuality, LevelQuality
from diffplan.method.guide import CalibratedGuide, ValueGuide

TRAJECTORIES = torch.randn(3, 8, 6, generator=torch.Generator().manual_seed(1))
TIMESTEP = torch.tensor(3)
VARIANCE = torch.tensor(0.25)


def given(rows: int = 0) -> torch.Tensor:
    mask = torch.zeros(1, 8, 6, dtype=torch.bool)
    mask[:, :rows, 2:] = True
    return mask


def quality(rmse: float = 4.0, pull: float | None = 1e6) -> CriticQuality:
    levels = [LevelQuality(timestep, rmse, 0.5, 0.0, 0.7, pull) for timestep in (None, 0, 5)]
    return CriticQuality(1000, 10, 100, tuple(levels))


def rms(shift, mask):
    return (shift.square().sum(dim=(1, 2)) / (~mask).expand_as(shift).sum(dim=(1, 2))).sqrt()


@pytest.fixture
def critic(make_critic):
    return replace(make_critic(scale=5.0), quality=quality())


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_a_step_is_the_gradient_in_units_of_the_critic_s_error(rows, critic):
    shift = CalibratedGuide(critic, scale=2.0).shift(TRAJECTORIES, TIMESTEP, VARIANCE, given(rows))
    gradient = ValueGuide(critic, 1.0).gradient(TRAJECTORIES, TIMESTEP).masked_fill(given(rows), 0.0)
    torch.testing.assert_close(shift, 2.0 * 0.25 * gradient / 4.0)


def test_the_error_is_that_of_the_noise_level(critic):
    levels = [LevelQuality(t, rmse, 0.5, 0.0, 0.7, 1e6) for t, rmse in ((None, 9.0), (0, 2.0), (5, 7.0))]
    guide = CalibratedGuide(replace(critic, quality=CriticQuality(1, 1, 1, tuple(levels))), scale=1.0)
    gradient = guide.gradient(TRAJECTORIES, TIMESTEP)
    torch.testing.assert_close(guide.shift(TRAJECTORIES, TIMESTEP, VARIANCE, given()), 0.25 * gradient / 5.0)


@pytest.mark.parametrize("factor", [1e-6, 1e-3, 1e3, 1e6])
def test_units_of_reward_do_not_matter(factor, critic):
    other = replace(critic, scale=critic.scale * factor, quality=quality(4.0 * factor, 1.0 * factor))
    critic = replace(critic, quality=quality(4.0, 1.0))
    shifts = [CalibratedGuide(each).shift(TRAJECTORIES, TIMESTEP, VARIANCE, given(1)) for each in (critic, other)]
    torch.testing.assert_close(shifts[1], shifts[0], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("factor", [1e3, 1e9])
def test_a_gradient_that_is_far_too_large_moves_a_plan_no_further_than_where_it_was_measured(factor, critic):
    measured = quality(rmse=4.0, pull=0.2)
    wrong = replace(critic, scale=critic.scale * factor, quality=measured)
    shift = CalibratedGuide(wrong).shift(TRAJECTORIES, TIMESTEP, VARIANCE, given(1))
    assert rms(shift, given(1)).tolist() == pytest.approx([0.25 * 0.2 / 4.0] * 3, rel=1e-4)


def test_a_critic_that_sees_no_difference_moves_nothing(make_critic):
    for pull in (0.0, 1.0):
        critic = replace(make_critic(scale=0.0), quality=quality(pull=pull))
        shift = CalibratedGuide(critic).shift(TRAJECTORIES, TIMESTEP, VARIANCE, given(1))
        assert torch.equal(shift, torch.zeros_like(shift))


def test_an_error_of_zero_gives_finite_steps(critic):
    exact = replace(critic, quality=quality(rmse=0.0, pull=0.0))
    assert CalibratedGuide(exact).shift(TRAJECTORIES, TIMESTEP, VARIANCE, given(1)).isfinite().all()


def test_nothing_moves_where_everything_is_given(critic):
    everything = torch.ones(1, 8, 6, dtype=torch.bool)
    shift = CalibratedGuide(critic).shift(TRAJECTORIES, TIMESTEP, VARIANCE, everything)
    assert torch.equal(shift, torch.zeros_like(shift))


def test_a_scale_or_steps_of_zero_only_rank(critic):
    assert not CalibratedGuide(critic, scale=0.0).acts_at(10)
    assert not CalibratedGuide(critic, num_steps=0).acts_at(10)
    assert CalibratedGuide(critic, t_stopgrad=4).acts_at(4)
    assert not CalibratedGuide(critic, t_stopgrad=4).acts_at(3)


@pytest.mark.parametrize("scale", [-0.1, math.inf, math.nan])
def test_a_scale_without_meaning_is_refused(scale, critic):
    with pytest.raises(ConfigError, match=r"guide\.scale must be at least 0 and finite"):
        CalibratedGuide(critic, scale)


@pytest.mark.parametrize("unknown", [None, quality(pull=None)])
def test_a_critic_that_was_not_measured_is_refused(unknown, critic):
    with pytest.raises(ConfigError, match=r"measured on held-out episodes: train it with critic\.held_out=0\.1"):
        CalibratedGuide(replace(critic, quality=unknown))


def test_without_a_critic_it_says_how_to_get_one():
    with pytest.raises(ConfigError, match="calibrated_guide needs a critic: train one"):
        CalibratedGuide(None)
