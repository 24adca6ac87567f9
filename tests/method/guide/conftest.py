"""Critics whose values are known."""

import pytest
import torch
from diffusers import DDPMScheduler

from diffplan.method.critic import ReturnTarget, TrajectoryCritic
from diffplan.method.network.value_unet import ValueUnet
from diffplan.method.normalizer import GaussianNormalizer
from diffplan.method.trajectory import TransitionLayout

HORIZON = 8


@pytest.fixture
def make_critic():
    def make(offset: float = 0.0, scale: float = 1.0, horizon: int = HORIZON, **parts) -> TrajectoryCritic:
        torch.manual_seed(0)
        layout = parts.pop("layout", TransitionLayout(2, 4))
        return TrajectoryCritic(
            **{
                "backbone": ValueUnet(layout.transition_dim, horizon, 8, (1, 8)).eval().requires_grad_(False),
                "normalizer": GaussianNormalizer(layout.transition_dim),
                "scheduler": DDPMScheduler(20, beta_schedule="squaredcos_cap_v2", prediction_type="sample"),
                "layout": layout,
                "horizon": horizon,
                "stride": 1,
                "target": ReturnTarget(),
                "offset": torch.tensor(offset),
                "scale": torch.tensor(scale),
                **parts,
            }
        )

    return make
