"""What training a denoiser and training a critic have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Int
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from diffplan.method.conditioning import AbstractConditioning, Conditions
from diffplan.method.noise.schedule import NoiseSchedule
from diffplan.method.noise.supported_schedulers import check_scheduler
from diffplan.method.normalizer import AbstractNormalizer
from diffplan.method.shapes import Trajectories
from diffplan.method.trajectory import TrajectoryBatch, TransitionLayout
from diffplan.training.exponential_moving_average import ExponentialMovingAverage


class AbstractTrajectoryModule(LightningModule, ABC):
    """A network trained on noised windows, followed by a slow average of its weights.

    Args:
        backbone: The network; it has ``check_horizon``.
        scheduler: Diffusers scheduler that adds the training noise.
        conditioning: Which observations of a window are given.
        normalizer: Filled from the data when training starts; its statistics travel in the checkpoint.
        layout: Columns of a plan row.
        horizon: Rows of a training window.
        stride: Environment steps between two rows.
        optimizer: Builds the optimiser from parameters.
        learning_rate_schedule: Builds the schedule from the optimiser; None keeps the rate constant.
        average: Builds the weight average from the network.
        seed: Seed of timesteps and noise.
        compile: Compiles the network with ``torch.compile``; checkpoints stay the same.

    Raises:
        HorizonError: the network cannot take the horizon.
        ConfigError: the scheduler cannot serve.
    """

    def __init__(
        self,
        backbone: nn.Module,
        scheduler: Any,
        conditioning: AbstractConditioning,
        normalizer: AbstractNormalizer,
        layout: TransitionLayout,
        horizon: int,
        stride: int,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        learning_rate_schedule: Callable[[Optimizer], LRScheduler] | None,
        average: Callable[[nn.Module], ExponentialMovingAverage],
        seed: int,
        compile: bool = False,
    ) -> None:
        super().__init__()
        backbone.check_horizon(horizon)  # type: ignore[operator]
        check_scheduler(scheduler)
        self.backbone = backbone
        self.scheduler = scheduler
        self._noise_schedule = NoiseSchedule(scheduler)
        self.conditioning = conditioning
        self.normalizer = normalizer
        self.layout = layout
        self.horizon = horizon
        self.stride = stride
        self.optimizer = optimizer
        self.learning_rate_schedule = learning_rate_schedule
        self.average = average(backbone)
        self.seed = seed
        if compile:
            backbone.compile()

    # First part of its metric keys.
    stage: str

    @abstractmethod
    def training_step(self, batch: TrajectoryBatch, batch_idx: int) -> Tensor:
        """Noises the windows, predicts, compares."""

    def setup(self, stage: str) -> None:
        """Takes the statistics of the training data; a checkpoint restored later brings its own."""
        if stage == "fit":
            datamodule = self.trainer.datamodule  # type: ignore[attr-defined]
            self.normalizer.load_state_dict(datamodule.normalizer.state_dict())

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Follows the weights right after each optimiser step."""
        step = self.global_step
        super().optimizer_step(*args, **kwargs)
        self.average.update(self.backbone, step)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Builds optimiser and learning-rate schedule; the schedule moves every step."""
        optimizer = self.optimizer(self.backbone.parameters())
        if self.learning_rate_schedule is None:
            return {"optimizer": optimizer}
        schedule = self.learning_rate_schedule(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def noised(self, batch: TrajectoryBatch) -> tuple[Trajectories, Trajectories, Int[Tensor, " batch"], Conditions]:
        """Draws a timestep and noise for every window; returns the noisy windows, the noise, timesteps, conditions."""
        clean = batch.trajectories
        generator = self._generator(batch.number)
        timesteps = torch.randint(
            self.scheduler.config.num_train_timesteps, (len(clean),), generator=generator, device=clean.device
        )
        noise = torch.randn(clean.shape, generator=generator, device=clean.device, dtype=clean.dtype)
        conditions = self.conditioning.from_window(clean, self.layout)
        return conditions.apply(self._noise_schedule.add_noise(clean, noise, timesteps)), noise, timesteps, conditions

    @property
    def learning_rate(self) -> float:
        """The optimiser's present rate."""
        optimizer = self.optimizers()
        return optimizer.param_groups[0]["lr"]  # type: ignore[union-attr]

    @property
    def logs_this_step(self) -> bool:
        """Whether numbers handed over now will be written; every log call costs."""
        return (self.global_step + 1) % self.trainer.log_every_n_steps == 0  # type: ignore[attr-defined]

    def _generator(self, number: int) -> torch.Generator:
        # Every batch has its own stream, so a resumed run draws what the uninterrupted one drew.
        seed = (self.seed * 0x9E3779B97F4A7C15 + number * 0xBF58476D1CE4E5B9 + self.global_rank) % 2**63
        return torch.Generator(self.device).manual_seed(seed)
