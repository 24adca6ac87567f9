import pytest
import torch

from diffplan.errors import CheckpointError
from diffplan.interop.network_shape import critic_settings, denoiser_settings, rebuild_critic, rebuild_denoiser
from diffplan.method.network.temporal_unet import TemporalUnet
from diffplan.method.network.value_unet import ValueUnet


@pytest.mark.parametrize(
    "settings",
    [
        {"transition_dim": 14, "dim": 16, "dim_multipliers": [1, 2, 4], "attention": False, "kernel_size": 5},
        {"transition_dim": 4, "dim": 8, "dim_multipliers": [1], "attention": True, "kernel_size": 3},
    ],
)
def test_a_denoiser_is_told_from_its_weights_alone(settings):
    network = TemporalUnet(**settings)
    assert denoiser_settings(network.state_dict()) == settings
    rebuilt = rebuild_denoiser(network.state_dict())
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in rebuilt.state_dict().items())


def test_a_critic_is_told_from_its_weights_and_its_horizon():
    settings = {"transition_dim": 6, "horizon": 40, "dim": 8, "dim_multipliers": [1, 8], "kernel_size": 3}
    network = ValueUnet(**settings)
    assert critic_settings(network.state_dict(), 40) == settings
    assert rebuild_critic(network.state_dict(), 40).horizon == 40


def test_a_critic_of_another_horizon_is_refused():
    with pytest.raises(CheckpointError, match="fit no critic of 8 rows"):
        rebuild_critic(ValueUnet(6, 64, 8, (1, 8)).state_dict(), 8)


def test_weights_of_something_else_are_refused_by_what_is_missing():
    with pytest.raises(CheckpointError, match=r"no denoiser's: bottom\.first"):
        rebuild_denoiser(ValueUnet(6, 8, 8, (1, 8)).state_dict())
    with pytest.raises(CheckpointError, match="no critic's"):
        rebuild_critic(TemporalUnet(6, 8, (1, 2)).state_dict(), 8)


def test_a_missing_weight_is_named():
    weights = TemporalUnet(6, 8, (1, 2)).state_dict()
    del weights["head.1.bias"]
    with pytest.raises(CheckpointError, match=r"fit no denoiser.*head\.1\.bias"):
        rebuild_denoiser(weights)
