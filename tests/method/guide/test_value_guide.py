import pytest
import torch

from diffplan.errors import ConfigError
from diffplan.method.guide import ValueGuide

TRAJECTORIES = torch.randn(3, 8, 6, generator=torch.Generator().manual_seed(1))
TIMESTEP = torch.tensor(7)
GIVEN = torch.zeros(1, 8, 6, dtype=torch.bool)


def test_the_gradient_equals_finite_differences(make_critic):
    critic = make_critic(scale=5.0)
    critic.backbone.double()
    trajectories = TRAJECTORIES.double()
    gradient = ValueGuide(critic, scale=1.0).gradient(trajectories, TIMESTEP)
    for batch, row, column in [(0, 0, 0), (1, 3, 2), (2, 7, 5), (0, 5, 1)]:
        step = torch.zeros_like(trajectories)
        step[batch, row, column] = 1e-5
        with torch.no_grad():
            ahead, behind = (critic.values(trajectories + sign * step, TIMESTEP[None])[batch] for sign in (1, -1))
        assert gradient[batch, row, column].item() == pytest.approx(((ahead - behind) / 2e-5).item(), rel=1e-4)


def test_each_trajectory_follows_its_own_value_only(make_critic):
    guide = ValueGuide(make_critic(), scale=1.0)
    together = guide.gradient(TRAJECTORIES, TIMESTEP)
    assert torch.allclose(guide.gradient(TRAJECTORIES[1:], TIMESTEP), together[1:], atol=1e-6)


@pytest.mark.parametrize(("scaling", "factor"), [("variance", 0.25), ("std", 0.5), ("none", 1.0)])
def test_the_shift_is_scale_times_factor_times_gradient(scaling, factor, make_critic):
    guide = ValueGuide(make_critic(), scale=0.1, scaling=scaling)
    shift = guide.shift(TRAJECTORIES, TIMESTEP, torch.tensor(0.25), GIVEN)
    assert torch.allclose(shift, 0.1 * factor * guide.gradient(TRAJECTORIES, TIMESTEP))


def test_a_small_step_along_the_shift_raises_the_value(make_critic):
    guide = ValueGuide(make_critic(), scale=1e-3, scaling="none")
    shifted = TRAJECTORIES + guide.shift(TRAJECTORIES, TIMESTEP, torch.tensor(1.0), GIVEN)
    assert (guide.values(shifted, TIMESTEP) > guide.values(TRAJECTORIES, TIMESTEP)).all()


def test_values_and_gradients_are_in_units_of_reward_whatever_the_network_was_trained_on(make_critic):
    plain, scaled = ValueGuide(make_critic(), 1.0), ValueGuide(make_critic(offset=30.0, scale=10.0), 1.0)
    values = plain.values(TRAJECTORIES, TIMESTEP)
    assert torch.allclose(scaled.values(TRAJECTORIES, TIMESTEP), 30.0 + 10.0 * values)
    gradient = plain.gradient(TRAJECTORIES, TIMESTEP)
    assert torch.allclose(scaled.gradient(TRAJECTORIES, TIMESTEP), 10.0 * gradient, rtol=1e-4, atol=1e-5)


def test_it_acts_down_to_its_last_timestep(make_critic):
    guide = ValueGuide(make_critic(), scale=0.1, t_stopgrad=4)
    assert [timestep for timestep in range(8) if guide.acts_at(timestep)] == [4, 5, 6, 7]
    assert not ValueGuide(make_critic(), scale=0.0).acts_at(19)
    assert not ValueGuide(make_critic(), scale=0.1, num_steps=0).acts_at(19)


def test_the_critic_keeps_no_gradients(make_critic):
    critic = make_critic()
    critic.backbone.requires_grad_(True)
    ValueGuide(critic, scale=1.0).gradient(TRAJECTORIES, TIMESTEP)
    assert all(parameter.grad is None for parameter in critic.backbone.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_steps": -1}, "cannot be negative, got -1 and 2"),
        ({"t_stopgrad": -2}, "cannot be negative, got 2 and -2"),
    ],
)
def test_settings_without_meaning_are_refused(settings, message, make_critic):
    with pytest.raises(ConfigError, match=message):
        ValueGuide(make_critic(), 1.0, **settings)


def test_without_a_critic_it_says_how_to_get_one():
    with pytest.raises(ConfigError, match="needs a critic: train one"):
        ValueGuide(None, 1.0)
