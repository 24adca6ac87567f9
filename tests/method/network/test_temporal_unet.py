import numpy as np
import pytest
import torch
from torch import nn

from diffplan.errors import ConfigError, HorizonError
from diffplan.method.network.temporal_unet import TemporalUnet


def filled_by_rule(network: nn.Module) -> nn.Module:
    """Fills every parameter by a rule of its size and shape alone, so two implementations can hold equal weights."""
    gains = {id(module.weight) for module in network.modules() if isinstance(module, nn.GroupNorm | nn.LayerNorm)}
    for parameter in network.parameters():
        size = parameter.numel()
        values = np.random.RandomState(size).standard_normal(size).reshape(parameter.shape)
        if id(parameter) in gains:
            values = 1.0 + 0.1 * values
        elif parameter.ndim == 1:
            values = 0.1 * values
        else:
            values = values / np.sqrt(size / parameter.shape[0])
        parameter.data.copy_(torch.as_tensor(values))
    return network


def pattern(*shape: int) -> torch.Tensor:
    """The reference vectors' test input."""
    size = int(np.prod(shape))
    return torch.as_tensor(np.random.RandomState(size + 7).standard_normal(size).reshape(shape), dtype=torch.float32)


def num_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def small_unet(**settings) -> TemporalUnet:
    torch.manual_seed(0)
    return TemporalUnet(**{"transition_dim": 6, "dim": 8, "dim_multipliers": (1, 2, 4), **settings})


@pytest.mark.parametrize(
    ("transition_dim", "dim_multipliers", "attention", "expected"),
    [
        pytest.param(14, (1, 2, 4, 8), False, 3_956_302, id="hopper"),
        pytest.param(23, (1, 2, 4, 8), False, 3_958_327, id="walker2d"),
        pytest.param(23, (1, 4, 8), True, 4_114_423, id="halfcheetah"),
        pytest.param(23, (1, 4, 8), False, 3_685_943, id="halfcheetah without attention"),
        pytest.param(6, (1, 4, 8), False, 3_682_118, id="maze2d"),
    ],
)
def test_it_has_exactly_the_released_models_parameters(transition_dim, dim_multipliers, attention, expected):
    network = TemporalUnet(transition_dim, 32, dim_multipliers, attention)
    assert num_parameters(network) == expected


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("time_embedding", 8_352),
        ("downs.0", 9_088 + 11_488 + 3_104),
        ("downs.1", 35_328 + 43_456 + 12_352),
        ("downs.2", 136_192 + 168_832 + 49_280),
        ("bottom", 534_528 + 665_344),
        ("middle_first", 665_344),
        ("middle_second", 665_344),
        ("ups.0", 480_256 + 168_832 + 65_664),
        ("ups.1", 121_344 + 43_456 + 16_448),
        ("ups.2", 30_976 + 11_488 + 4_128),
        ("head", 5_678),
    ],
)
def test_each_part_of_the_hopper_model_has_the_released_size(part, expected):
    assert num_parameters(TemporalUnet(14).get_submodule(part)) == expected


def test_it_computes_what_the_released_network_computes():
    network = filled_by_rule(TemporalUnet(14))
    with torch.no_grad():
        output = network(pattern(2, 32, 14), torch.tensor([0, 7]))
    flat = output.flatten()
    # Printed with six digits by the original; both run in single precision through some thirty layers.
    assert flat.sum().item() == pytest.approx(29.676516, abs=1e-3)
    assert flat.abs().sum().item() == pytest.approx(541.804732, abs=1e-3)
    torch.testing.assert_close(flat[:4], torch.tensor([0.518598, 0.337171, -0.038262, 0.062909]), atol=1e-4, rtol=0)
    torch.testing.assert_close(flat[-2:], torch.tensor([0.234336, -0.229961]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("horizon", [4, 8, 12, 32, 384])
def test_one_network_takes_every_horizon_it_allows(attention, horizon):
    network = small_unet(attention=attention)
    network.check_horizon(horizon)
    assert network(torch.randn(2, horizon, 6), torch.tensor([0, 3])).shape == (2, horizon, 6)


@pytest.mark.parametrize(
    ("horizon", "message"),
    [
        (30, "horizon=30 .* 3 levels.* multiple of 4, for instance 28 or 32"),
        (2, "multiple of 4, for instance 4 or 8"),
        (0, "multiple of 4, for instance 4 or 8"),
    ],
)
def test_a_horizon_that_cannot_be_halved_is_refused_with_the_nearest_that_can(horizon, message):
    with pytest.raises(HorizonError, match=message):
        small_unet().check_horizon(horizon)


@pytest.mark.parametrize("attention", [False, True])
def test_one_timestep_for_the_batch_equals_the_same_timestep_for_each(attention):
    # In double precision, where sums taken in another order differ by no more than the tolerance.
    network, trajectories = small_unet(attention=attention).double(), torch.randn(3, 8, 6, dtype=torch.float64)
    once = network(trajectories, torch.tensor([5]))
    each = network(trajectories, torch.tensor([5, 5, 5]))
    torch.testing.assert_close(once, each, atol=1e-12, rtol=0)


def test_a_trajectory_is_denoised_alike_whatever_its_batch():
    network, trajectories = small_unet().double(), torch.randn(3, 8, 6, dtype=torch.float64)
    timesteps = torch.tensor([0, 4, 9])
    alone = torch.cat([network(trajectories[i : i + 1], timesteps[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(network(trajectories, timesteps), alone, atol=1e-12, rtol=0)


def test_the_prediction_depends_on_the_timestep():
    network, trajectories = small_unet(), torch.randn(1, 8, 6)
    assert not torch.allclose(network(trajectories, torch.tensor([0])), network(trajectories, torch.tensor([9])))


def test_a_single_level_keeps_its_resolution():
    network = small_unet(dim_multipliers=(1,))
    network.check_horizon(5)
    assert network(torch.randn(2, 5, 6), torch.tensor([1])).shape == (2, 5, 6)


def test_every_parameter_is_used():
    network = small_unet(attention=True)
    network(torch.randn(2, 8, 6), torch.tensor([1, 2])).square().sum().backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dim": 12}, "dim must be a multiple of 8 .* got 12"),
        ({"dim": 0}, "dim must be a multiple of 8 .* got 0"),
        ({"dim_multipliers": (2, 4)}, r"must begin with 1, got \[2, 4\]"),
        ({"dim_multipliers": ()}, r"must begin with 1, got \[\]"),
    ],
)
def test_widths_that_the_architecture_does_not_allow_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        small_unet(**settings)
