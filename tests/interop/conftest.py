"""Small untrained models, in every form that they travel in."""

import pytest
import torch
from diffusers import DDPMScheduler

from diffplan.interop.diffuser_pipeline import DiffuserPipeline
from diffplan.interop.export_folder import exported_pipeline
from diffplan.interop.trajectory_format import TrajectoryFormat
from diffplan.method.conditioning import FirstState, StartAndGoal
from diffplan.method.critic import ReturnTarget, TrajectoryCritic
from diffplan.method.model import TrajectoryModel
from diffplan.method.network.temporal_unet import TemporalUnet
from diffplan.method.network.value_unet import ValueUnet
from diffplan.method.normalizer import GaussianNormalizer, LimitsNormalizer
from diffplan.method.trajectory import TransitionLayout

HORIZON, ACTIONS, OBSERVATIONS = 8, 2, 4
OFFSET = [0.1, -0.2, 1.0, 2.0, -3.0, 0.5]
SCALE = [0.5, 1.5, 2.0, 0.25, 3.0, 1.0]


@pytest.fixture
def make_model():
    def make(maze: bool = False, steps: int = 6, **settings) -> TrajectoryModel:
        torch.manual_seed(0)
        normalizer = (LimitsNormalizer if maze else GaussianNormalizer)(ACTIONS + OBSERVATIONS)
        normalizer.offset.copy_(torch.tensor(OFFSET))
        normalizer.scale.copy_(torch.tensor(SCALE))
        scheduler = DDPMScheduler(
            num_train_timesteps=steps, beta_schedule="squaredcos_cap_v2", variance_type="fixed_small", clip_sample=maze,
            prediction_type="sample", timestep_spacing="trailing",
        )  # fmt: skip
        network = TemporalUnet(**{"transition_dim": 6, "dim": 16, "dim_multipliers": (1, 2), **settings}).eval()
        return TrajectoryModel(
            network, normalizer, scheduler, StartAndGoal() if maze else FirstState(),
            TransitionLayout(ACTIONS, OBSERVATIONS), HORIZON, 1,
        )  # fmt: skip

    return make


@pytest.fixture
def make_critic():
    def make(model: TrajectoryModel, offset: float = 5.0, scale: float = 20.0, **settings) -> TrajectoryCritic:
        torch.manual_seed(1)
        # Wide enough that no group of its normalisation is a few numbers, whose gradient magnifies every rounding.
        widths = {"dim": 32, "dim_multipliers": (1, 8)}
        network = ValueUnet(**{"transition_dim": 6, "horizon": HORIZON, **widths, **settings})
        return TrajectoryCritic(
            network.eval(), model.normalizer, model.scheduler, model.layout, model.horizon, 1, ReturnTarget(),
            torch.tensor(offset), torch.tensor(scale),
        )  # fmt: skip

    return make


@pytest.fixture
def make_pipeline(make_model, make_critic):
    """A hopper-like pipeline with a critic, or a maze's without one."""

    def make(maze: bool = False, **settings) -> DiffuserPipeline:
        model = make_model(maze, **settings)
        critic = None if maze else make_critic(model)
        form = TrajectoryFormat.of_model(
            model, None if critic is None else critic.target, guide_scale=None if maze else 0.002,
            t_stopgrad=None if maze else 2, task="maze2d-umaze-v1" if maze else "hopper-medium-v2",
        )  # fmt: skip
        pipeline = exported_pipeline(model, critic, form)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    return make


@pytest.fixture
def observations() -> torch.Tensor:
    return torch.randn(3, OBSERVATIONS, generator=torch.Generator().manual_seed(5))
