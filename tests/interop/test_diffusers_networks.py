"""Our networks and ``UNet1DModel`` are the same functions of the same weights."""

import pytest
import torch
from diffusers import UNet1DModel

from diffplan.errors import CheckpointError, HorizonError
from diffplan.interop.diffusers_networks import (
    CriticModel,
    DenoiserModel,
    backbone_of,
    critic_backbone_of,
    critic_model,
    denoiser_model,
    why_no_unet,
)
from diffplan.method.network.temporal_unet import TemporalUnet
from diffplan.method.network.value_unet import ValueUnet
from tests.method.network.test_temporal_unet import filled_by_rule

# Both sum in single precision through some thirty layers.
CLOSE = {"atol": 1e-5, "rtol": 1e-5}
ZERO, ONE = torch.tensor(0.0), torch.tensor(1.0)


def storages(*networks) -> set[int]:
    return {parameter.untyped_storage().data_ptr() for network in networks for parameter in network.parameters()}


def gradient(values: torch.Tensor, trajectories: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(values.square().sum(), trajectories)[0]


@pytest.mark.parametrize(
    ("columns", "horizon", "dim", "multipliers"),
    [
        pytest.param(14, 32, 32, (1, 2, 4, 8), id="hopper"),
        pytest.param(6, 128, 32, (1, 4, 8), id="maze"),
        pytest.param(4, 8, 8, (1, 2), id="small"),
        pytest.param(23, 4, 16, (1, 4, 8), id="short"),
    ],
)
def test_the_denoiser_and_diffusers_unet_agree_in_value_and_gradient(columns, horizon, dim, multipliers):
    network = filled_by_rule(TemporalUnet(columns, dim, multipliers)).eval()
    model = denoiser_model(network, horizon)
    assert isinstance(model, UNet1DModel)
    trajectories, timesteps = torch.randn(2, horizon, columns, requires_grad=True), torch.tensor([0, 7])
    ours, theirs = (
        network(trajectories, timesteps),
        model(trajectories.transpose(1, 2), timesteps).sample.transpose(1, 2),
    )
    torch.testing.assert_close(ours, theirs, **CLOSE)
    torch.testing.assert_close(gradient(ours, trajectories), gradient(theirs, trajectories), **CLOSE)


@pytest.mark.parametrize(
    ("columns", "horizon", "dim", "multipliers"),
    [
        pytest.param(14, 32, 32, (1, 2, 4, 8), id="hopper"),
        pytest.param(23, 4, 32, (1, 4, 8), id="half cheetah"),
        pytest.param(6, 16, 8, (1, 8), id="as long as can be"),
        pytest.param(6, 5, 8, (1, 8), id="odd"),
    ],
)
def test_the_critic_and_diffusers_value_function_agree_in_value_and_gradient(columns, horizon, dim, multipliers):
    network = filled_by_rule(ValueUnet(columns, horizon, dim, multipliers)).eval()
    model = critic_model(network, ZERO, ONE)
    assert isinstance(model, UNet1DModel)
    trajectories, timesteps = torch.randn(2, horizon, columns, requires_grad=True), torch.tensor([0, 7])
    ours, theirs = network(trajectories, timesteps), model(trajectories.transpose(1, 2), timesteps).sample[:, 0]
    torch.testing.assert_close(ours, theirs, **CLOSE)
    torch.testing.assert_close(gradient(ours, trajectories), gradient(theirs, trajectories), **CLOSE)


def test_the_range_of_returns_goes_into_the_critic_s_last_layer():
    network = ValueUnet(6, 8, 8, (1, 8)).eval()
    trajectories, timesteps = torch.randn(4, 8, 6), torch.tensor([3] * 4)
    values = critic_model(network, torch.tensor(5.0), torch.tensor(20.0))(
        trajectories.transpose(1, 2), timesteps
    ).sample
    torch.testing.assert_close(values[:, 0], network(trajectories, timesteps) * 20 + 5, **CLOSE)


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (TemporalUnet(6, 8, (1, 2), attention=True), "attention"),
        (TemporalUnet(6, 8, (1, 2), kernel_size=3), "convolutions of width 3"),
        (TemporalUnet(6, 8, (1,)), "a single level"),
        (ValueUnet(6, 17, 8, (1, 8)), "judges 17 rows, and UNet1DModel's head takes at most 16"),
        (ValueUnet(6, 8, 8, (1, 8), kernel_size=7), "convolutions of width 7"),
    ],
    ids=["attention", "kernel", "one level", "long critic", "critic's kernel"],
)
def test_what_diffusers_cannot_express_is_said_and_kept_in_a_model_of_ours(network, reason):
    assert reason in why_no_unet(network)
    is_critic = isinstance(network, ValueUnet)
    model = critic_model(network, ZERO, ONE) if is_critic else denoiser_model(network, 8)
    assert isinstance(model, CriticModel if is_critic else DenoiserModel)
    network.eval()
    trajectories, timesteps = torch.randn(2, network.horizon if is_critic else 8, 6), torch.tensor([0, 3])
    given = model(trajectories.transpose(1, 2), timesteps).sample
    assert torch.equal(given[:, 0] if is_critic else given.transpose(1, 2), network(trajectories, timesteps))
    assert torch.equal(given, model(trajectories.transpose(1, 2), timesteps, return_dict=False)[0])


def test_our_form_of_a_model_holds_its_very_weights():
    denoiser, critic = (
        denoiser_model(TemporalUnet(6, 8, (1, 2)), 8),
        critic_model(ValueUnet(6, 8, 8, (1, 8)), ZERO, ONE),
    )
    ours, ours_critic = backbone_of(denoiser), critic_backbone_of(critic, 8)
    assert storages(ours, ours_critic) == storages(denoiser, critic)
    before = ours(torch.ones(1, 8, 6), torch.tensor([0]))
    denoiser.out_block.final_conv1d_2.bias.data += 1.0
    torch.testing.assert_close(ours(torch.ones(1, 8, 6), torch.tensor([0])), before + 1.0)


def test_our_form_of_a_model_is_made_once_and_costs_no_random_numbers():
    model = denoiser_model(TemporalUnet(4, 8, (1, 2)), 8)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    form = backbone_of(model)
    assert torch.equal(torch.get_rng_state(), before)
    assert backbone_of(model) is form
    assert backbone_of(denoiser_model(TemporalUnet(4, 8, (1, 2)), 8)) is not form
    other = torch.nn.Parameter(torch.zeros_like(model.mid_block.resnets[0].time_emb.bias))
    model.mid_block.resnets[0].time_emb.bias = other
    assert any(parameter is other for parameter in backbone_of(model).parameters())
    critic = critic_model(ValueUnet(4, 8, 32, (1, 8)), ZERO, ONE)
    assert critic_backbone_of(critic, 8) is critic_backbone_of(critic, 8)
    assert critic_backbone_of(critic, 4 * 2).horizon == 8


def test_a_critic_of_longer_plans_than_its_head_takes_is_refused():
    critic = critic_model(ValueUnet(6, 8, 8, (1, 8)), ZERO, ONE)
    with pytest.raises(CheckpointError, match="cannot judge plans of 32 rows"):
        critic_backbone_of(critic, 32)
    with pytest.raises(HorizonError, match="17 rows only"):
        critic_backbone_of(critic_model(ValueUnet(6, 17, 8, (1, 8)), ZERO, ONE), 8)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"act_fn": "swish"}, "act_fn='swish', but it must be 'mish'"),
        ({"flip_sin_to_cos": True}, "flip_sin_to_cos=True"),
        ({"downsample_each_block": True}, "downsample_each_block=True, but it must be False"),
        ({"down_block_types": ("DownBlock1D", "AttnDownBlock1D")}, "down_block_types with 'AttnDownBlock1D'"),
    ],
)
def test_a_unet_that_computes_something_else_is_refused_by_the_setting(setting, message):
    model = denoiser_model(TemporalUnet(6, 8, (1, 2)), 8)
    model.register_to_config(**setting)
    with pytest.raises(CheckpointError, match=message):
        backbone_of(model)


def test_a_unet_of_other_shapes_than_any_network_here_is_refused():
    model = denoiser_model(TemporalUnet(6, 8, (1, 2)), 8)
    model.out_block.final_conv1d_2 = torch.nn.Conv1d(8, 4, 1)
    with pytest.raises(CheckpointError, match="the denoiser has weights of other shapes"):
        backbone_of(model)
    with pytest.raises(CheckpointError, match="the critic must be a UNet1DModel or one of ours, got DenoiserModel"):
        critic_backbone_of(denoiser_model(TemporalUnet(6, 8, (1,)), 8), 8)
