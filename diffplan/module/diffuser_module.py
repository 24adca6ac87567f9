from collections.abc import Callable, Iterable
from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from diffplan.backbone import AbstractBackbone
from diffplan.conditioning import AbstractConditioning
from diffplan.loss import DenoisingLoss
from diffplan.model import TrajectoryModel
from diffplan.module.exponential_moving_average import ExponentialMovingAverage
from diffplan.normalizer import AbstractNormalizer
from diffplan.scheduler import check_scheduler, training_target
from diffplan.trajectory import TrajectoryBatch, TransitionLayout


class DiffuserModule(LightningModule):
    """Trains the trajectory diffusion model.

    Args:
        backbone: The denoising network.
        scheduler: Diffusers scheduler that adds the training noise and says what is predicted.
        conditioning: Which observations of a window are given.
        loss: Training objective.
        normalizer: Filled from the data when training starts; its statistics travel in the checkpoint.
        action_dim: Action columns of a plan row; 0 plans observations only.
        observation_dim: Observation columns.
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

    Reference: Diffuser, section 3; Ho et al. 2020, Algorithm 1.
    """

    def __init__(
        self,
        backbone: AbstractBackbone,
        scheduler: Any,
        conditioning: AbstractConditioning,
        loss: DenoisingLoss,
        normalizer: AbstractNormalizer,
        action_dim: int,
        observation_dim: int,
        horizon: int,
        stride: int,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        learning_rate_schedule: Callable[[Optimizer], LRScheduler] | None,
        average: Callable[[nn.Module], ExponentialMovingAverage],
        seed: int,
        compile: bool = False,
    ) -> None:
        super().__init__()
        backbone.check_horizon(horizon)
        check_scheduler(scheduler)
        self.backbone = backbone
        self.scheduler = scheduler
        self.conditioning = conditioning
        self.loss = loss
        self.normalizer = normalizer
        self.layout = TransitionLayout(action_dim, observation_dim)
        self.horizon = horizon
        self.stride = stride
        self.optimizer = optimizer
        self.learning_rate_schedule = learning_rate_schedule
        self.average = average(backbone)
        self.seed = seed
        if compile:
            backbone.compile()

    def model(self) -> TrajectoryModel:
        """The trained model with averaged weights, as planners take it."""
        network = self.average.average
        if not isinstance(network, AbstractBackbone):
            raise TypeError("the averaged network is no backbone")
        return TrajectoryModel(
            network, self.normalizer, self.scheduler, self.conditioning, self.layout, self.horizon, self.stride
        )

    def setup(self, stage: str) -> None:
        """Takes the statistics of the training data; a checkpoint restored later brings its own."""
        if stage == "fit":
            datamodule = self.trainer.datamodule  # type: ignore[attr-defined]
            self.normalizer.load_state_dict(datamodule.normalizer.state_dict())

    def training_step(self, batch: TrajectoryBatch, batch_idx: int) -> Tensor:
        """Noises the windows, predicts, compares."""
        clean = batch.trajectories
        generator = self._generator(batch.number)
        timesteps = torch.randint(
            self.scheduler.config.num_train_timesteps, (len(clean),), generator=generator, device=clean.device
        )
        noise = torch.randn(clean.shape, generator=generator, device=clean.device, dtype=clean.dtype)
        conditions = self.conditioning.from_window(clean, self.layout)
        noisy = conditions.apply(self.scheduler.add_noise(clean, noise, timesteps))

        prediction = self.backbone(noisy, timesteps)
        target = training_target(self.scheduler, clean, noise, timesteps)
        terms = self.loss(prediction, target, conditions.mask, batch.valid)

        self._log(terms.loss.detach(), terms.first_action_loss)
        return terms.loss

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

    def _generator(self, number: int) -> torch.Generator:
        # Every batch has its own stream, so a resumed run draws what the uninterrupted one drew.
        seed = (self.seed * 0x9E3779B97F4A7C15 + number * 0xBF58476D1CE4E5B9 + self.global_rank) % 2**63
        return torch.Generator(self.device).manual_seed(seed)

    def _log(self, loss: Tensor, first_action_loss: Tensor | None) -> None:
        # Every log call costs, so the numbers are handed over only when they will be written.
        if (self.global_step + 1) % self.trainer.log_every_n_steps:  # type: ignore[attr-defined]
            return
        self.log("train/loss", loss, prog_bar=True)
        if first_action_loss is not None:
            self.log("train/first_action_loss", first_action_loss)
        optimizer = self.optimizers()
        self.log("train/learning_rate", optimizer.param_groups[0]["lr"])  # type: ignore[union-attr]
