"""A model whose exact denoiser is known: independent normal entries."""

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from diffplan.config.paths import CONF_DIR
from diffplan.method.conditioning import AbstractConditioning, FirstState
from diffplan.method.model import TrajectoryModel
from diffplan.method.network.base import AbstractBackbone
from diffplan.method.noise.schedule import NoiseSchedule, prediction_type
from diffplan.method.normalizer import LimitsNormalizer
from diffplan.method.trajectory import TransitionLayout

MEAN, DEVIATION = 0.4, 0.5


class GaussianDenoiser(AbstractBackbone):
    """The posterior mean of normal data, spoken in the scheduler's prediction type; no network is involved."""

    def __init__(self, scheduler, mean: float = MEAN, deviation: float = DEVIATION) -> None:
        super().__init__()
        self.scheduler, self.mean, self.deviation = scheduler, mean, deviation
        self.schedule = NoiseSchedule(scheduler)
        self.batch_sizes: list[int] = []

    def check_horizon(self, horizon: int) -> None:
        return None

    def forward(self, trajectories, timesteps):
        self.batch_sizes.append(len(trajectories))
        signal, noise = (
            weights[timesteps][:, None, None].float() for weights in (self.schedule.signal, self.schedule.noise)
        )
        gain = self.deviation**2 * signal / (self.deviation**2 * signal**2 + noise**2)
        clean = self.mean + gain * (trajectories - signal * self.mean)
        eps = (trajectories - signal * clean) / noise
        kind = prediction_type(self.scheduler)
        return {"sample": clean, "epsilon": eps, "v_prediction": signal * eps - noise * clean, "flow": eps - clean}[
            kind
        ]


def scheduler_from_yaml(name: str, diffusion_steps: int, clip: bool = False, prediction_type: str = "sample"):
    config = OmegaConf.create({
        "task": {"diffusion_steps": diffusion_steps, "clip_denoised": clip},
        "prediction_type": prediction_type,
        "scheduler": OmegaConf.load(CONF_DIR / "scheduler" / f"{name}.yaml"),
    })  # fmt: skip
    return instantiate(config.scheduler)


@pytest.fixture
def make_scheduler():
    return scheduler_from_yaml


@pytest.fixture
def make_model():
    def make(
        scheduler,
        backbone: AbstractBackbone | None = None,
        conditioning: AbstractConditioning | None = None,
        layout: TransitionLayout | None = None,
        horizon: int = 8,
    ) -> TrajectoryModel:
        layout = layout or TransitionLayout(2, 4)
        return TrajectoryModel(
            backbone or GaussianDenoiser(scheduler), LimitsNormalizer(layout.transition_dim), scheduler,
            conditioning or FirstState(), layout, horizon, 1,
        )  # fmt: skip

    return make
