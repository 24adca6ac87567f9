from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from diffplan.method.conditioning import AbstractConditioning
from diffplan.method.critic import ReturnTarget, TrajectoryCritic
from diffplan.method.network.value_unet import ValueUnet
from diffplan.method.normalizer import AbstractNormalizer
from diffplan.method.objective import ValueLoss, ValueLossTerms
from diffplan.method.trajectory import TrajectoryBatch, TransitionLayout
from diffplan.training.base import AbstractTrajectoryModule
from diffplan.training.exponential_moving_average import ExponentialMovingAverage


class ValueModule(AbstractTrajectoryModule):
    """Trains the critic: the return that follows the first row of a noisy window.

    Args:
        backbone: The critic's network.
        scheduler: Diffusers scheduler that adds the training noise; the denoiser's.
        conditioning: Which observations of a window are given.
        loss: Training objective.
        normalizer: Filled from the data when training starts; its statistics travel in the checkpoint.
        target: What is predicted; the datamodule computes it.
        action_dim: Action columns of a plan row.
        observation_dim: Observation columns.
        horizon: Rows of a training window.
        stride: Environment steps between two rows.
        optimizer: Builds the optimiser from parameters.
        learning_rate_schedule: Builds the schedule from the optimiser; None keeps the rate constant.
        average: Builds the weight average from the network.
        seed: Seed of timesteps and noise.
        normalize_targets: Has the network predict returns scaled to [-1, 1] by the data's extremes; values are given in
            units of reward all the same, so guide scales keep their meaning.
        compile: Compiles the network with ``torch.compile``; checkpoints stay the same.

    Raises:
        HorizonError: the network was built for another horizon.
        ConfigError: the scheduler cannot serve.

    Reference: Diffuser, appendix C; released code ``ValueDiffusion``.
    """

    stage = "critic"
    value_offset: Tensor
    value_scale: Tensor

    def __init__(
        self,
        backbone: ValueUnet,
        scheduler: Any,
        conditioning: AbstractConditioning,
        loss: ValueLoss,
        normalizer: AbstractNormalizer,
        target: ReturnTarget,
        action_dim: int,
        observation_dim: int,
        horizon: int,
        stride: int,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        learning_rate_schedule: Callable[[Optimizer], LRScheduler] | None,
        average: Callable[[nn.Module], ExponentialMovingAverage],
        seed: int,
        normalize_targets: bool = False,
        compile: bool = False,
    ) -> None:
        super().__init__(
            backbone, scheduler, conditioning, normalizer, TransitionLayout(action_dim, observation_dim), horizon,
            stride, optimizer, learning_rate_schedule, average, seed, compile,
        )  # fmt: skip
        self.loss = loss
        self.target = target
        self.normalize_targets = normalize_targets
        self.register_buffer("value_offset", torch.zeros(()))
        self.register_buffer("value_scale", torch.ones(()))

    def critic(self) -> TrajectoryCritic:
        """The trained critic with averaged weights, as guides take it."""
        network = self.average.average
        if not isinstance(network, ValueUnet):
            raise TypeError("the averaged network is no critic")
        return TrajectoryCritic(
            network, self.normalizer, self.scheduler, self.layout, self.horizon, self.stride, self.target,
            self.value_offset, self.value_scale,
        )  # fmt: skip

    def setup(self, stage: str) -> None:
        """Takes the statistics of the training data, those of the returns too."""
        super().setup(stage)
        if stage == "fit" and self.normalize_targets:
            least, most = self.trainer.datamodule.windows.return_range()  # type: ignore[attr-defined]
            self.value_offset.fill_((most + least) / 2)
            self.value_scale.fill_((most - least) / 2 if most > least else 1.0)

    def training_step(self, batch: TrajectoryBatch, batch_idx: int) -> Tensor:
        """Noises the windows, predicts, compares."""
        if batch.returns is None:
            raise RuntimeError("a critic is trained on batches with returns")
        noisy, _, timesteps, _ = self.noised(batch)
        prediction = self.backbone(noisy, timesteps)
        terms = self.loss(prediction, (batch.returns - self.value_offset) / self.value_scale)
        self._log(terms, prediction.detach() * self.value_scale + self.value_offset, batch.returns)
        return terms.loss

    def _log(self, terms: ValueLossTerms, values: Float[Tensor, " batch"], returns: Float[Tensor, " batch"]) -> None:
        if not self.logs_this_step:
            return
        self.log("critic/loss", terms.loss.detach(), prog_bar=True)
        self.log("critic/correlation", terms.correlation)
        self.log("critic/learning_rate", self.learning_rate)
        self._log_range("prediction", values)
        self._log_range("return", returns)

    def _log_range(self, what: str, values: Float[Tensor, " batch"]) -> None:
        for statistic in ("mean", "min", "max"):
            self.log(f"critic/{what}_{statistic}", getattr(values, statistic)())
