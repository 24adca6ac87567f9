import pytest
import torch

from diffplan.errors import CheckpointError
from diffplan.interop.network_layers import network_settings, parameter_names, translate
from diffplan.method.network.temporal_unet import TemporalUnet
from diffplan.method.network.value_unet import ValueUnet


@pytest.mark.parametrize(
    ("network", "kind", "num_levels"),
    [
        (TemporalUnet(6, 8, (1, 2, 4), attention=True), "denoiser", 3),
        (TemporalUnet(6, 8, (1,)), "denoiser", 1),
        (ValueUnet(6, 8, 8, (1, 4, 8)), "critic", 3),
    ],
    ids=["attention", "single level", "critic"],
)
def test_every_weight_of_ours_has_a_name_of_the_original(network, kind, num_levels):
    assert set(network.state_dict()) <= set(parameter_names(kind, num_levels, "original").values())


def test_no_name_stands_for_two_weights():
    for kind in ("denoiser", "critic"):
        for dialect in ("original", "diffusers"):
            names = parameter_names(kind, 4, dialect)
            assert len(set(names.values())) == len(names)


def test_attention_has_no_name_in_diffusers():
    assert not any("attention" in name for name in parameter_names("denoiser", 3, "diffusers").values())


def test_the_original_s_layer_normalisation_loses_its_axes_of_length_one():
    weights = {"downs.0.2.fn.norm.g": torch.ones(1, 8, 1), "downs.1.0.residual_conv.bias": torch.ones(1)}
    translated = translate(weights, "denoiser", "original", "a file")
    assert translated["downs.0.attention.normalization.weight"].shape == (8,)


def test_a_weight_that_no_such_network_has_is_named():
    with pytest.raises(CheckpointError, match=r"a file has weights that no denoiser here has: 'downs\.7"):
        translate({"downs.7.0.residual_conv.weight": torch.ones(1)}, "denoiser", "original", "a file")


@pytest.mark.parametrize(
    "settings",
    [
        {"transition_dim": 14, "dim": 16, "dim_multipliers": [1, 2, 4], "attention": False, "kernel_size": 5},
        {"transition_dim": 4, "dim": 8, "dim_multipliers": [1], "attention": True, "kernel_size": 3},
    ],
)
def test_a_denoiser_is_told_from_its_weights_alone(settings):
    assert network_settings(TemporalUnet(**settings).state_dict(), "denoiser") == settings


def test_a_critic_is_told_from_its_weights_and_its_horizon():
    settings = {"transition_dim": 6, "horizon": 40, "dim": 8, "dim_multipliers": [1, 8], "kernel_size": 3}
    assert network_settings(ValueUnet(**settings).state_dict(), "critic", 40) == settings


def test_weights_of_something_else_are_refused_by_what_is_missing():
    with pytest.raises(CheckpointError, match=r"no denoiser's: bottom\.first"):
        network_settings(ValueUnet(6, 8, 8, (1, 8)).state_dict(), "denoiser")
    with pytest.raises(CheckpointError, match="no critic's"):
        network_settings(TemporalUnet(6, 8, (1, 2)).state_dict(), "critic", 8)
