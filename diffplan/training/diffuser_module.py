from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from diffplan.method.conditioning import AbstractConditioning
from diffplan.method.model import TrajectoryModel
from diffplan.method.network.base import AbstractBackbone
from diffplan.method.noise.schedule import training_target
from diffplan.method.normalizer import AbstractNormalizer
from diffplan.method.objective import DenoisingLoss, DenoisingLossTerms
from diffplan.method.trajectory import TrajectoryBatch, TransitionLayout
from diffplan.training.base import AbstractTrajectoryModule
from diffplan.training.exponential_moving_average import ExponentialMovingAverage


class DiffuserModule(AbstractTrajectoryModule):
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

    stage = "train"

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
        super().__init__(
            backbone, scheduler, conditioning, normalizer, TransitionLayout(action_dim, observation_dim), horizon,
            stride, optimizer, learning_rate_schedule, average, seed, compile,
        )  # fmt: skip
        self.loss = loss

    def model(self) -> TrajectoryModel:
        """The trained model with averaged weights, as planners take it."""
        network = self.average.average
        if not isinstance(network, AbstractBackbone):
            raise TypeError("the averaged network is no backbone")
        return TrajectoryModel(
            network, self.normalizer, self.scheduler, self.conditioning, self.layout, self.horizon, self.stride
        )

    def training_step(self, batch: TrajectoryBatch, batch_idx: int) -> Tensor:
        """Noises the windows, predicts, compares."""
        noisy, noise, timesteps, conditions = self.noised(batch)
        prediction = self.backbone(noisy, timesteps)
        target = training_target(self.scheduler, batch.trajectories, noise, timesteps)
        terms = self.loss(prediction, target, conditions.mask, batch.valid)
        self._log(terms)
        return terms.loss

    def _log(self, terms: DenoisingLossTerms) -> None:
        if not self.logs_this_step:
            return
        self.log("train/loss", terms.loss.detach(), prog_bar=True)
        if terms.first_action_loss is not None:
            self.log("train/first_action_loss", terms.first_action_loss)
        self.log("train/learning_rate", self.learning_rate)
