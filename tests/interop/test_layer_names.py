import pytest
import torch

from diffplan.interop.layer_names import critic_layers, denoiser_layers, parameter_names, translate
from diffplan.method.network.temporal_unet import TemporalUnet
from diffplan.method.network.value_unet import ValueUnet


@pytest.mark.parametrize(
    ("network", "layers"),
    [
        (TemporalUnet(6, 8, (1, 2, 4), attention=True), denoiser_layers(3)),
        (TemporalUnet(6, 8, (1,)), denoiser_layers(1)),
        (ValueUnet(6, 8, 8, (1, 4, 8)), critic_layers(3)),
    ],
    ids=["attention", "single level", "critic"],
)
def test_every_weight_of_ours_has_a_name_of_the_original(network, layers):
    assert set(network.state_dict()) <= set(parameter_names(layers, "original").values())


def test_no_name_stands_for_two_weights():
    for layers in (denoiser_layers(4), critic_layers(4)):
        for dialect in ("original", "diffusers"):
            plain = {
                name: ours for name, ours in parameter_names(layers, dialect).items() if not name.endswith((".g", ".b"))
            }
            assert len(set(plain.values())) == len(plain)


def test_attention_has_no_name_in_diffusers():
    assert not any("attention" in name for name in parameter_names(denoiser_layers(3), "diffusers").values())


def test_the_original_s_layer_normalisation_loses_its_axes_of_length_one():
    weights = {"downs.0.2.fn.norm.g": torch.ones(1, 8, 1)}
    translated = translate(weights, denoiser_layers(2), "original")
    assert translated["downs.0.attention.normalization.weight"].shape == (8,)


def test_a_weight_that_no_such_network_has_is_named():
    with pytest.raises(KeyError, match=r"downs\.7"):
        translate({"downs.7.0.residual_conv.weight": torch.ones(1)}, denoiser_layers(2), "original")
