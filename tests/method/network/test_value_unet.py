import pytest
import torch
from torch import nn

from diffplan.errors import ConfigError, HorizonError
from diffplan.method.network.value_unet import ValueUnet
from tests.method.network.test_temporal_unet import filled_by_rule, num_parameters, pattern


@pytest.mark.parametrize(
    ("transition_dim", "horizon", "dim_multipliers", "expected"),
    [
        pytest.param(14, 32, (1, 2, 4, 8), 2_294_817, id="hopper"),
        pytest.param(23, 32, (1, 2, 4, 8), 2_296_545, id="walker2d"),
        pytest.param(23, 4, (1, 4, 8), 2_180_833, id="halfcheetah"),
    ],
)
def test_it_has_exactly_the_released_critics_parameters(transition_dim, horizon, dim_multipliers, expected):
    assert num_parameters(ValueUnet(transition_dim, horizon, 32, dim_multipliers)) == expected


def test_it_computes_what_the_released_critic_computes():
    network = filled_by_rule(ValueUnet(14, 32))
    with torch.no_grad():
        values = network(pattern(2, 32, 14), torch.tensor([0, 7]))
    assert values.shape == (2,)
    assert values.tolist() == pytest.approx([2.700459, 1.919825], abs=1e-4)


@pytest.mark.parametrize("horizon", [1, 3, 4, 6, 16, 64])
def test_every_horizon_has_a_critic(horizon):
    network = ValueUnet(6, horizon, 8, (1, 8))
    assert network(torch.randn(2, horizon, 6), torch.tensor([3])).shape == (2,)


def test_it_judges_plans_of_its_own_horizon_only():
    network = ValueUnet(6, 16, 8, (1, 8))
    network.check_horizon(16)
    with pytest.raises(HorizonError, match="plans of 16 rows only, got horizon=32"):
        network.check_horizon(32)


def test_one_timestep_for_the_batch_equals_the_same_timestep_for_each():
    network, trajectories = ValueUnet(6, 8, 8, (1, 8)), torch.randn(3, 8, 6)
    assert torch.allclose(network(trajectories, torch.tensor([5])), network(trajectories, torch.tensor([5, 5, 5])))


def test_a_trajectory_is_judged_alike_whatever_its_batch():
    network, trajectories = ValueUnet(6, 8, 8, (1, 8)), torch.randn(3, 8, 6)
    together = network(trajectories, torch.tensor([2]))
    assert torch.allclose(network(trajectories[1:2], torch.tensor([2])), together[1:2], atol=1e-6)


def test_every_parameter_is_used():
    network = ValueUnet(6, 8, 8, (1, 8))
    network(torch.randn(3, 8, 6), torch.tensor([0, 1, 2])).sum().backward()
    unused = [name for name, parameter in nn.Module.named_parameters(network) if parameter.grad is None]
    assert unused == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dim": 12}, "dim must be a multiple of 8"),
        ({"dim": 8, "dim_multipliers": (1, 4)}, "must be a multiple of 64, got 32"),
        ({"dim_multipliers": ()}, "must be a multiple of 64"),
        ({"horizon": 0}, "horizon must be at least 1"),
    ],
)
def test_widths_that_the_architecture_does_not_allow_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        ValueUnet(**{"transition_dim": 6, "horizon": 8, **settings})
