from dataclasses import FrozenInstanceError

import pytest
import torch
from diffusers import DDPMScheduler

from diffplan.method.conditioning import StartAndGoal
from diffplan.method.model import TrajectoryModel
from diffplan.method.network.temporal_unet import TemporalUnet
from diffplan.method.normalizer import LimitsNormalizer
from diffplan.method.trajectory import TransitionLayout


@pytest.fixture
def model() -> TrajectoryModel:
    return TrajectoryModel(
        TemporalUnet(6, 8, (1, 2)), LimitsNormalizer(6), DDPMScheduler(20), StartAndGoal(), TransitionLayout(2, 4), 8, 4
    )


def test_it_holds_what_planning_needs(model):
    trajectories = torch.zeros(1, model.horizon, model.layout.transition_dim)
    output = model.backbone(model.normalizer.normalize(trajectories), torch.tensor([0]))
    assert output.shape == trajectories.shape
    assert model.conditioning.rows(model.horizon) == [0, 7]


def test_a_trained_model_cannot_be_changed_under_a_planner(model):
    with pytest.raises(FrozenInstanceError):
        model.horizon = 16
