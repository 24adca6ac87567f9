import pytest

from diffplan.data.collect.sac_settings import SacSettings
from diffplan.errors import ConfigError


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": -1}, "--seed must be at least 0, got -1"),
        ({"hidden_width": 0}, "--hidden-width must be at least 1, got 0"),
        ({"evaluate_every": 0}, "--evaluate-every must be at least 1, got 0"),
    ],
)
def test_numbers_out_of_range_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        SacSettings("hopper-medium-v2", **change)


def test_values_give_the_settings_back():
    settings = SacSettings("ant-medium-v2", seed=4, batch_size=32)
    assert SacSettings(**settings.values()) == settings
