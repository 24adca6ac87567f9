import inspect

import pytest

import diffplan.method.network as folder
from diffplan.method.network.base import AbstractBackbone

# The critic's network maps trajectories to numbers and is none.
NOT_BACKBONES = ("AbstractBackbone", "ValueUnet")
CONCRETE = [cls for name, cls in inspect.getmembers(folder, inspect.isclass) if name not in NOT_BACKBONES]


@pytest.mark.parametrize("cls", CONCRETE)
def test_every_exported_network_is_a_backbone(cls):
    assert issubclass(cls, AbstractBackbone)
    assert not inspect.isabstract(cls)


def test_a_backbone_without_a_horizon_check_cannot_be_built():
    class Incomplete(AbstractBackbone):
        def forward(self, trajectories, timesteps):
            return trajectories

    with pytest.raises(TypeError, match="check_horizon"):
        Incomplete()
