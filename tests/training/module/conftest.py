"""A training problem small enough to solve while a test waits."""

from collections.abc import Iterator
from functools import partial

import lightning
import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler

from diffplan.data.datamodule import TrajectoryDataModule
from diffplan.data.source.base import AbstractSource, DataIdentity, Episode, Transitions
from diffplan.method.average import ExponentialMovingAverage
from diffplan.method.conditioning import FirstState
from diffplan.method.model import TrajectoryModel
from diffplan.method.network.temporal_unet import TemporalUnet
from diffplan.method.normalizer import LimitsNormalizer
from diffplan.method.objective import DenoisingLoss
from diffplan.method.trajectory import TransitionLayout
from diffplan.training.modules import DiffuserModule


class CircleSource(AbstractSource):
    """Points that walk round a circle; the action is the change of angle."""

    def prepare(self) -> None:
        return None

    def read(self) -> Transitions:
        return Transitions.from_episodes(self.episodes())

    def episodes(self) -> Iterator[Episode]:
        for speed in np.linspace(0.1, 0.5, 8, dtype=np.float32):
            angles = speed * np.arange(40, dtype=np.float32)
            observations = np.stack([np.cos(angles), np.sin(angles)], axis=1)
            yield Episode(observations, np.full((40, 1), speed), np.zeros(40, np.float32), False, True)

    def identity(self) -> DataIdentity:
        return DataIdentity("circle", "file", "0" * 64, 320)


@pytest.fixture
def make_module():
    def make(seed: int = 0, prediction_type: str = "sample", horizon: int = 8, **settings) -> DiffuserModule:
        torch.manual_seed(0)
        model = TrajectoryModel(
            backbone=settings.pop("backbone", None) or TemporalUnet(3, dim=8, dim_multipliers=(1, 2)),
            normalizer=LimitsNormalizer(3),
            scheduler=settings.pop("scheduler", None)
            or DDPMScheduler(20, beta_schedule="squaredcos_cap_v2", prediction_type=prediction_type),
            conditioning=FirstState(),
            layout=TransitionLayout(1, 2),
            horizon=horizon,
            stride=1,
        )
        settings = {
            "loss": DenoisingLoss(horizon, 1, 2, action_weight=10.0),
            "optimizer": partial(torch.optim.Adam, lr=3e-3),
            "learning_rate_schedule": None,
            "average": partial(ExponentialMovingAverage, decay=0.9, update_every=1, start_step=5),
            **settings,
        }
        return DiffuserModule(model, seed=seed, **settings)

    return make


@pytest.fixture
def fit():
    def run(module: DiffuserModule, max_steps: int, callbacks=(), **settings) -> lightning.Trainer:
        data = TrajectoryDataModule(
            CircleSource(), module.normalizer, 1, 2, module.fresh.horizon, 1, batch_size=16, seed=0
        )
        trainer = lightning.Trainer(
            accelerator="cpu", max_steps=max_steps, max_epochs=-1, callbacks=list(callbacks), logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, **settings,
        )  # fmt: skip
        trainer.fit(module, data)
        return trainer

    return run
