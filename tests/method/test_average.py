import copy

import pytest
import torch
from torch import nn

from diffplan.method.average import ExponentialMovingAverage


def set_weights(network: nn.Module, value: float) -> None:
    for parameter in network.parameters():
        nn.init.constant_(parameter, value)


@pytest.fixture
def network():
    return nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5))


def weight(average: ExponentialMovingAverage) -> float:
    values = torch.cat([parameter.flatten() for parameter in average.average.parameters()])
    assert (values == values[0]).all()
    return values[0].item()


def test_it_is_a_copy_until_it_starts_and_follows_slowly_from_then_on(network):
    average = ExponentialMovingAverage(network, decay=0.9, update_every=10, start_step=20)
    history = {}
    for step in range(41):
        set_weights(network, float(step))
        average.update(network, step)
        history[step] = weight(average)
    assert [history[step] for step in (0, 9, 10, 19)] == [0.0, 0.0, 10.0, 10.0]
    # From step 20 on a tenth of the way, every tenth step.
    assert history[20] == pytest.approx(0.9 * 10 + 0.1 * 20)
    assert history[29] == history[20]
    assert history[30] == pytest.approx(0.9 * 11.0 + 0.1 * 30)
    assert history[40] == pytest.approx(0.9 * 12.9 + 0.1 * 40)


def test_the_copy_is_exact(network):
    average = ExponentialMovingAverage(network)
    nn.init.normal_(network[0].weight)
    average.update(network, 1990)
    assert torch.equal(average.average[0].weight, network[0].weight)
    assert average.average[0].weight.data_ptr() != network[0].weight.data_ptr()


def test_a_decay_of_zero_follows_at_once_and_of_one_never(network):
    set_weights(network, 1.0)
    at_once, never = (ExponentialMovingAverage(network, decay, 1, 0) for decay in (0.0, 1.0))
    set_weights(network, 5.0)
    for average in (at_once, never):
        average.update(network, 0)
    assert (weight(at_once), weight(never)) == (5.0, 1.0)


def test_it_is_always_in_evaluation_mode_and_takes_no_gradient(network):
    average = ExponentialMovingAverage(network)
    parent = nn.ModuleDict({"live": network, "average": average})
    parent.train()
    assert network.training
    assert not any(module.training for module in average.modules())
    assert not any(parameter.requires_grad for parameter in average.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_the_live_network_is_left_alone(network):
    average = ExponentialMovingAverage(network, 0.5, 1, 0)
    before = copy.deepcopy(network.state_dict())
    average.update(network, 0)
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_it_lies_in_the_state_dict_beside_the_live_weights(network):
    average = ExponentialMovingAverage(network)
    set_weights(average.average, 7.0)
    other = ExponentialMovingAverage(network)
    other.load_state_dict(average.state_dict())
    assert weight(other) == 7.0
