import torch

from diffplan.method.network.fast.planning_network import FastNetworks
from diffplan.method.network.temporal_unet import TemporalUnet


def unet():
    return TemporalUnet(transition_dim=6, dim=16, dim_multipliers=(1, 2)).eval()


def test_a_network_is_made_once_while_nothing_changes():
    fast, network = FastNetworks(), unet()
    first = fast.of(network, 8, 4)
    assert fast.of(network, 8, 4) is first
    for changed in (fast.of(network, 8, 5), fast.of(network, 16, 4)):
        assert changed is not first


def test_a_network_is_made_again_for_other_weights():
    fast, network = FastNetworks(), unet()
    first = fast.of(network, 8, 4)
    with torch.no_grad():
        next(network.parameters()).add_(1)
    second = fast.of(network, 8, 4)
    assert second is not first
    network.load_state_dict(unet().state_dict())
    third = fast.of(network, 8, 4)
    assert third is not second
    network.to(torch.float64).to(torch.float32)
    assert fast.of(network, 8, 4) is not third
    assert fast.of(unet(), 8, 4) is not third
