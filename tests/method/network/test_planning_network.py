import copy
import itertools

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from diffplan.errors import HorizonError
from diffplan.method.network.fast.convolution import FrozenConvolution
from diffplan.method.network.fast.planning_network import for_planning
from diffplan.method.network.temporal_unet import TemporalUnet
from diffplan.method.network.value_unet import ValueUnet

PAPER = {  # name: transition_dim, horizon, multipliers, attention
    "hopper": (14, 32, (1, 2, 4, 8), False),
    "walker2d": (23, 32, (1, 2, 4, 8), False),
    "halfcheetah": (23, 4, (1, 4, 8), True),
    "maze2d": (6, 128, (1, 4, 8), False),
}


def denoiser(name: str, **settings) -> TemporalUnet:
    transition_dim, _, multipliers, attention = PAPER[name]
    torch.manual_seed(0)
    return livened(TemporalUnet(transition_dim, 32, multipliers, attention, **settings))


def critic(name: str) -> ValueUnet:
    transition_dim, horizon, multipliers, _ = PAPER[name]
    torch.manual_seed(0)
    return livened(ValueUnet(transition_dim, horizon, 32, multipliers))


def livened(network: nn.Module) -> nn.Module:
    """Gives biases, gains and shifts the scatter that training gives them."""
    for parameter in network.parameters():
        if parameter.ndim == 1:
            parameter.data += 0.3 * torch.randn_like(parameter)
    return network


def value_and_gradient(network: nn.Module, trajectories: torch.Tensor, timesteps: torch.Tensor):
    trajectories = trajectories.clone().requires_grad_()
    output = network(trajectories, timesteps)
    weights = torch.linspace(-1, 1, output.numel()).to(output).view(output.shape)
    (gradient,) = torch.autograd.grad((weights * output).sum(), trajectories)
    return output.detach(), gradient


def assert_equal_networks(trained: nn.Module, planning: nn.Module, trajectories, timesteps, tolerance=1e-4):
    output, gradient = value_and_gradient(trained, trajectories, timesteps)
    planned, planned_gradient = value_and_gradient(planning, trajectories, timesteps)
    torch.testing.assert_close(planned, output, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(planned_gradient, gradient, atol=tolerance, rtol=tolerance)
    with torch.no_grad():
        torch.testing.assert_close(planning(trajectories, timesteps), output, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("batch", [1, 64])
@pytest.mark.parametrize("name", PAPER)
def test_a_planning_denoiser_equals_the_trained_one_in_value_and_gradient(name, batch):
    trained, horizon = denoiser(name), PAPER[name][1]
    planning = for_planning(trained, horizon, batch)
    trajectories = torch.randn(2, horizon, PAPER[name][0])
    assert_equal_networks(trained, planning, trajectories, torch.tensor([7]))


@pytest.mark.parametrize("name", ["hopper", "walker2d", "halfcheetah"])
def test_a_planning_critic_equals_the_trained_one_in_value_and_gradient(name):
    trained, horizon = critic(name), PAPER[name][1]
    trajectories = torch.randn(3, horizon, PAPER[name][0])
    assert_equal_networks(trained, for_planning(trained, horizon), trajectories, torch.tensor([7]))


@pytest.mark.parametrize(
    ("multipliers", "kernel_size", "attention", "horizon"),
    [
        ((1, 2, 4), 3, True, 12),
        ((1, 2), 7, False, 6),
        ((1,), 5, True, 5),
        ((1, 1, 1, 1), 1, False, 8),
        ((1, 3), 5, True, 90),
    ],
)
@pytest.mark.parametrize("batch", [1, 64])
def test_every_shape_is_equal_in_double_precision(multipliers, kernel_size, attention, horizon, batch):
    torch.manual_seed(0)
    trained = livened(TemporalUnet(5, 8, multipliers, attention, kernel_size).double())
    trajectories = torch.randn(3, horizon, 5, dtype=torch.float64)
    planning = for_planning(trained, horizon, batch)
    # Nothing but the order of sums differs.
    assert_equal_networks(trained, planning, trajectories, torch.tensor([2, 0, 9]), tolerance=1e-10)


@pytest.mark.parametrize("horizon", [1, 2, 3, 7, 9])
def test_a_critic_of_any_horizon_is_equal_in_double_precision(horizon):
    torch.manual_seed(0)
    trained = livened(ValueUnet(5, horizon, 16, (1, 4)).double())
    trajectories = torch.randn(3, horizon, 5, dtype=torch.float64)
    assert_equal_networks(trained, for_planning(trained, horizon), trajectories, torch.tensor([4]), tolerance=1e-10)


def test_the_trained_network_stays_as_it_is():
    trained = denoiser("halfcheetah").train()
    before = copy.deepcopy(trained.state_dict())
    planning = for_planning(trained, 4)
    planning(torch.randn(2, 4, 23), torch.tensor([1]))
    assert trained.training
    assert all(parameter.requires_grad for parameter in trained.parameters())
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())
    assert not any(module._forward_pre_hooks for module in itertools.chain(trained.modules(), planning.modules()))


def test_gradients_reach_the_trajectories_and_no_weight():
    planning = for_planning(critic("halfcheetah"), 4)
    assert not any(parameter.requires_grad for parameter in planning.parameters())
    trajectories = torch.randn(2, 4, 23, requires_grad=True)
    planning(trajectories, torch.tensor([1])).sum().backward()
    assert trajectories.grad.abs().sum() > 0


def test_every_convolution_that_is_called_is_exchanged():
    planning = for_planning(denoiser("hopper"), 32)
    called = []
    for module in planning.modules():
        if isinstance(module, nn.Conv1d | nn.ConvTranspose1d | nn.GroupNorm):
            module.register_forward_hook(lambda module, *_: called.append(module))
    planning(torch.randn(1, 32, 14), torch.tensor([0]))
    assert called == []


def test_preparing_a_prepared_network_changes_nothing():
    once = for_planning(critic("halfcheetah"), 4)
    twice, trajectories = for_planning(once, 4), torch.randn(2, 4, 23)
    assert torch.equal(twice(trajectories, torch.tensor([3])), once(trajectories, torch.tensor([3])))


def test_layers_of_unknown_type_are_kept():
    class OwnConvolution(nn.Conv1d):
        def forward(self, features):
            return 2 * super().forward(features)

    trained = denoiser("halfcheetah")
    trained.downs[0].resample = OwnConvolution(32, 32, 3, stride=2, padding=1)
    planning = for_planning(trained, 4)
    assert type(planning.downs[0].resample) is OwnConvolution
    assert type(planning.downs[1].resample) is FrozenConvolution
    assert_equal_networks(trained, planning, torch.randn(2, 4, 23), torch.tensor([3]))


def test_a_network_prepared_for_one_horizon_refuses_another():
    planning = for_planning(denoiser("hopper"), 32)
    with pytest.raises(HorizonError, match="prepared for planning at another horizon: a layer for 32 rows got 16"):
        planning(torch.randn(1, 16, 14), torch.tensor([0]))


def test_a_horizon_the_network_cannot_take_is_refused_at_once():
    with pytest.raises(HorizonError, match="horizon=30"):
        for_planning(denoiser("hopper"), 30)
    with pytest.raises(HorizonError, match="plans of 32 rows only"):
        for_planning(critic("hopper"), 16)


@pytest.mark.parametrize(("make", "share"), [(denoiser, 0.5), (critic, 0.52)])
def test_64_hopper_candidates_take_about_half_the_operations(make, share):
    trained, trajectories = make("hopper"), torch.randn(64, 32, 14)

    def operations(network: nn.Module) -> int:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network(trajectories, torch.tensor([3]))
        return counter.get_total_flops()

    assert operations(for_planning(trained, 32)) < share * operations(trained)


def test_planning_networks_move_between_types_as_any_module():
    trained = denoiser("halfcheetah")
    planning = for_planning(trained, 4).double()
    trajectories = torch.randn(2, 4, 23, dtype=torch.float64)
    # The mixed weights were rounded to single precision before.
    assert_equal_networks(trained.double(), planning, trajectories, torch.tensor([3]), tolerance=1e-4)
