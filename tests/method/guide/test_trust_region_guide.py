import math
from dataclasses import replace

import pytest
import torch

from diffplan.errors import ConfigError
from diffplan.method.guide import TrustRegionGuide

TRAJECTORIES = torch.randn(3, 8, 6, generator=torch.Generator().manual_seed(1))
TIMESTEP = torch.tensor(7)
VARIANCE = torch.tensor(0.25)


def given(rows: int = 0) -> torch.Tensor:
    mask = torch.zeros(1, 8, 6, dtype=torch.bool)
    mask[:, :rows, 2:] = True
    return mask


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_every_plan_moves_by_the_radius_in_deviations_of_the_step(rows, make_critic):
    guide = TrustRegionGuide(make_critic(scale=5.0), radius=0.1)
    shift = guide.shift(TRAJECTORIES, TIMESTEP, VARIANCE, given(rows))
    free = ~given(rows).expand_as(shift)
    assert not shift[~free].any()
    moved = shift.square().sum(dim=(1, 2)) / free.sum(dim=(1, 2))
    assert moved.sqrt().tolist() == pytest.approx([0.1 * 0.5] * 3, rel=1e-5)


def test_it_moves_along_the_gradient_where_nothing_is_given(make_critic):
    guide = TrustRegionGuide(make_critic(), radius=0.1)
    shift = guide.shift(TRAJECTORIES, TIMESTEP, VARIANCE, given(1))
    gradient = guide.gradient(TRAJECTORIES, TIMESTEP).masked_fill(given(1), 0.0)
    cosine = torch.nn.functional.cosine_similarity(shift.flatten(1), gradient.flatten(1))
    assert cosine.tolist() == pytest.approx([1.0] * 3, abs=1e-6)


@pytest.mark.parametrize("factor", [1e-20, 1e-3, 1e3, 1e20])
def test_the_size_of_the_values_does_not_matter(factor, make_critic):
    critic = make_critic(scale=5.0)
    scaled = replace(critic, scale=critic.scale * factor, offset=critic.offset + 3.0)
    shifts = [
        TrustRegionGuide(each, 0.1).shift(TRAJECTORIES, TIMESTEP, VARIANCE, given(1)) for each in (critic, scaled)
    ]
    torch.testing.assert_close(shifts[1], shifts[0], rtol=1e-3, atol=1e-6)


def test_a_critic_that_sees_no_difference_moves_nothing(make_critic):
    critic = make_critic(scale=0.0)
    shift = TrustRegionGuide(critic, 0.1).shift(TRAJECTORIES, TIMESTEP, VARIANCE, given(1))
    assert torch.equal(shift, torch.zeros_like(shift))


def test_nothing_moves_where_everything_is_given(make_critic):
    everything = torch.ones(1, 8, 6, dtype=torch.bool)
    shift = TrustRegionGuide(make_critic(), 0.1).shift(TRAJECTORIES, TIMESTEP, VARIANCE, everything)
    assert torch.equal(shift, torch.zeros_like(shift))


def test_radius_or_steps_of_zero_only_rank(make_critic):
    assert not TrustRegionGuide(make_critic(), radius=0.0).acts_at(10)
    assert not TrustRegionGuide(make_critic(), num_steps=0).acts_at(10)
    assert TrustRegionGuide(make_critic(), t_stopgrad=4).acts_at(4)
    assert not TrustRegionGuide(make_critic(), t_stopgrad=4).acts_at(3)


@pytest.mark.parametrize("radius", [-0.1, math.inf, math.nan])
def test_a_radius_without_meaning_is_refused(radius, make_critic):
    with pytest.raises(ConfigError, match=r"guide\.radius must be at least 0 and finite"):
        TrustRegionGuide(make_critic(), radius)


def test_without_a_critic_it_says_how_to_get_one():
    with pytest.raises(ConfigError, match="trust_region_guide needs a critic: train one"):
        TrustRegionGuide(None)
