"""The Lightning modules: they log, step and make optimisers, and leave the mathematics to ``method``."""

import copy
from abc import ABC, abstractmethod
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from diffplan.method.average import ExponentialMovingAverage
from diffplan.method.critic import CriticQuality, TrajectoryCritic
from diffplan.method.model import TrajectoryModel
from diffplan.method.network.base import AbstractBackbone
from diffplan.method.network.value_unet import ValueUnet
from diffplan.method.objective import DenoisingLoss, DenoisingObjective, ValueLoss, ValueObjective, batch_generator
from diffplan.method.trajectory import TrajectoryBatch
from diffplan.run.checkpoint import QUALITY, stored_quality
from diffplan.tracking.base import AbstractRunLogger
from diffplan.tracking.evaluation_recorder import ResultRecorder


class AbstractTrajectoryModule(LightningModule, ABC):
    """Trains a network on noised windows and follows its weights with a slow average.

    Args:
        model: What is trained: a model or a critic with a fresh network, and the normaliser of the training data.
        loss: Compares the network's output with its target.
        optimizer: Builds the optimiser from parameters.
        learning_rate_schedule: Builds the schedule from the optimiser; None keeps the rate constant.
        average: Builds the weight average from the network.
        seed: Seed of timesteps and noise.
        compile: Compiles the network with ``torch.compile``; checkpoints stay the same.

    Raises:
        HorizonError: the network cannot take the horizon.
        ConfigError: the scheduler cannot serve.
    """

    # The first part of the module's metric keys, and the name of its newest checkpoint.
    stage: str
    checkpoint_name: str

    def __init__(
        self,
        model: Any,
        loss: DenoisingLoss | ValueLoss,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        learning_rate_schedule: Callable[[Optimizer], LRScheduler] | None,
        average: Callable[[nn.Module], ExponentialMovingAverage],
        seed: int,
        compile: bool = False,
    ) -> None:
        super().__init__()
        model.backbone.check_horizon(model.horizon)
        self.fresh = model
        self.backbone = model.backbone
        # A submodule, so that checkpoints carry the statistics of the data.
        self.normalizer = model.normalizer
        self.objective = self._make_objective(model, loss)
        self.optimizer = optimizer
        self.learning_rate_schedule = learning_rate_schedule
        self.average = average(model.backbone)
        self.seed = seed
        if compile:
            self.backbone.compile()

    @abstractmethod
    def pair(self, partner: Any) -> tuple[TrajectoryModel, TrajectoryCritic | None]:
        """Returns a model and a critic to plan with: the averaged weights of this module, and its partner.

        Args:
            partner: The critic beside a denoiser (or None), the denoiser beside a critic.
        """

    @abstractmethod
    def training_step(self, batch: TrajectoryBatch, batch_idx: int) -> Tensor:
        """Returns the loss of a batch and logs it."""

    @abstractmethod
    def _make_objective(self, model: Any, loss: Any) -> nn.Module:
        """Builds what computes the loss of a batch."""

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Follows the weights right after each optimiser step."""
        step = self.global_step
        super().optimizer_step(*args, **kwargs)
        self.average.update(self.backbone, step)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Builds the optimiser and the learning-rate schedule, which moves every step."""
        optimizer = self.optimizer(self.backbone.parameters())
        if self.learning_rate_schedule is None:
            return {"optimizer": optimizer}
        schedule = self.learning_rate_schedule(optimizer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _log(self, numbers: Callable[[], dict[str, Any]]) -> None:
        """Logs the numbers and the learning rate at steps whose numbers are written; every log call costs."""
        if (self.global_step + 1) % self.trainer.log_every_n_steps:  # type: ignore[attr-defined]
            return
        optimizer: Any = self.optimizers()
        for name, value in (numbers() | {"learning_rate": optimizer.param_groups[0]["lr"]}).items():
            self.log(f"{self.stage}/{name}", value, prog_bar=name == "loss")


class DiffuserModule(AbstractTrajectoryModule):
    """Trains the trajectory diffusion model; arguments as in ``AbstractTrajectoryModule``.

    Reference: Diffuser, section 3; Ho et al. 2020, Algorithm 1.
    """

    stage = "train"
    checkpoint_name = "last"

    def model(self) -> TrajectoryModel:
        """Returns the trained model with averaged weights, as planners take it."""
        network = self.average.average
        if not isinstance(network, AbstractBackbone):
            raise TypeError("the averaged network is no backbone")
        return replace(self.fresh, backbone=network)

    def pair(self, partner: TrajectoryCritic | None) -> tuple[TrajectoryModel, TrajectoryCritic | None]:
        return self.model(), partner

    def training_step(self, batch: TrajectoryBatch, batch_idx: int) -> Tensor:
        generator = batch_generator(self.seed, batch.number, self.global_rank, self.device)
        terms = self.objective(self.backbone, batch, generator)
        first_action = {} if terms.first_action_loss is None else {"first_action_loss": terms.first_action_loss}
        self._log(lambda: {"loss": terms.loss.detach(), **first_action})
        return terms.loss

    def _make_objective(self, model: TrajectoryModel, loss: DenoisingLoss) -> DenoisingObjective:
        return DenoisingObjective(model, loss)


class ValueModule(AbstractTrajectoryModule):
    """Trains the critic: the return that follows the first row of a noisy window.

    Args:
        model: The critic that is trained.
        loss: Compares the network's output with the return.
        optimizer: As in ``AbstractTrajectoryModule``, like the arguments that follow.
        learning_rate_schedule: See there.
        average: See there.
        seed: See there.
        normalize_targets: Has the network predict returns scaled to [-1, 1] by the data's extremes. Values are given in
            units of reward all the same, so guide scales keep their meaning.
        compile: See there.

    Attributes:
        quality: What the critic that is kept is worth on held-out episodes; None before the first check.

    Raises:
        HorizonError: the network was built for another horizon.
        ConfigError: the scheduler cannot serve.

    Reference: Diffuser, appendix C; released code ``ValueDiffusion``.
    """

    stage = checkpoint_name = "critic"
    value_offset: Tensor
    value_scale: Tensor

    def __init__(
        self,
        model: TrajectoryCritic,
        loss: ValueLoss,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        learning_rate_schedule: Callable[[Optimizer], LRScheduler] | None,
        average: Callable[[nn.Module], ExponentialMovingAverage],
        seed: int,
        normalize_targets: bool = False,
        compile: bool = False,
    ) -> None:
        super().__init__(model, loss, optimizer, learning_rate_schedule, average, seed, compile)
        self.normalize_targets = normalize_targets
        self.quality: CriticQuality | None = None
        # Averaged weights of the best check so far; None where the last ones are kept.
        self.kept: ExponentialMovingAverage | None = None
        self.register_buffer("value_offset", torch.zeros(()))
        self.register_buffer("value_scale", torch.ones(()))

    def critic(self) -> TrajectoryCritic:
        """Returns the trained critic with averaged weights, as guides take it: the best one, where it is kept."""
        is_best = self.kept is not None and self.quality is not None
        return replace(self._critic(self.kept if is_best else self.average), quality=self.quality)

    def newest_critic(self) -> TrajectoryCritic:
        """Returns the critic with the present averaged weights, whatever is kept."""
        return self._critic(self.average)

    def keep_best(self) -> None:
        """Has the averaged weights kept that are best on held-out episodes; a checkpoint holds them, too."""
        self.kept = copy.deepcopy(self.average)

    def note(self, quality: CriticQuality) -> None:
        """Takes what the newest critic is worth, and keeps its weights if they are the best so far."""
        if self.kept is not None and self.quality is not None and quality.mean_r2 <= self.quality.mean_r2:
            return
        self.quality = quality
        if self.kept is not None:
            self.kept.load_state_dict(self.average.state_dict())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what the critic is worth, where it was checked."""
        if self.quality is not None:
            checkpoint[QUALITY] = self.quality.to_plain()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes what the critic is worth."""
        self.quality = stored_quality(checkpoint.get(QUALITY))

    def pair(self, partner: TrajectoryModel) -> tuple[TrajectoryModel, TrajectoryCritic | None]:
        return partner, self.critic()

    def setup(self, stage: str) -> None:
        """Takes the range of the returns; a checkpoint that is restored later brings its own."""
        if stage == "fit" and self.normalize_targets:
            least, most = self.trainer.datamodule.windows.return_range()  # type: ignore[attr-defined]
            self.value_offset.fill_((most + least) / 2)
            self.value_scale.fill_((most - least) / 2 if most > least else 1.0)

    def training_step(self, batch: TrajectoryBatch, batch_idx: int) -> Tensor:
        generator = batch_generator(self.seed, batch.number, self.global_rank, self.device)
        terms = self.objective(self.backbone, batch, generator, self.value_offset, self.value_scale)

        def numbers() -> dict[str, Any]:
            values = {"prediction": terms.prediction * self.value_scale + self.value_offset, "return": batch.returns}
            ranges = {
                f"{what}_{statistic}": getattr(value, statistic)()
                for what, value in values.items()
                for statistic in ("mean", "min", "max")
            }
            return {"loss": terms.loss.detach(), "correlation": terms.correlation, **ranges}

        self._log(numbers)
        return terms.loss

    def _critic(self, average: Any) -> TrajectoryCritic:
        network = average.average
        if not isinstance(network, ValueUnet):
            raise TypeError("the averaged network is no critic")
        return replace(self.fresh, backbone=network, offset=self.value_offset, scale=self.value_scale)

    def _make_objective(self, model: TrajectoryCritic, loss: ValueLoss) -> ValueObjective:
        return ValueObjective(model, loss)


@dataclass(frozen=True)
class Stage:
    """One stage of a run, as its callbacks see it; a callback whose yaml says ``_partial_: true`` gets it as ``stage``.

    Attributes:
        partner: The critic beside a denoiser in training (or None), or the denoiser beside a critic.
        recorder: Keeps the results of the run; None keeps nothing.
        plans: Whether there is something to plan with.
    """

    partner: TrajectoryModel | TrajectoryCritic | None = None
    recorder: ResultRecorder | None = None
    plans: bool = True


class StageLogger(Logger):
    """Gives a trainer a logger of the run, so that finishing the critic stage does not close the run.

    It takes each number of a step once: Lightning writes the row of a step that is saved a second time.

    Args:
        run_logger: The run's logger.
        is_last: Whether the run ends with this stage.
    """

    def __init__(self, run_logger: AbstractRunLogger, is_last: bool = True) -> None:
        super().__init__()
        self.run_logger = run_logger
        self._is_last = is_last
        self._row: tuple[int, dict[str, float]] = (-1, {})

    @property
    def name(self) -> str:
        return ""

    @property
    def version(self) -> str:
        return ""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        step = int(step or 0)
        written = self._row[1] if self._row[0] == step else {}
        new = {key: value for key, value in metrics.items() if written.get(key) != value}
        self._row = (step, {**written, **metrics})
        if new:
            self.run_logger.log_metrics(new, step)

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        self.run_logger.log_hyperparams(vars(params) if isinstance(params, Namespace) else params)

    def save(self) -> None:
        self.run_logger.save()

    def finalize(self, status: str) -> None:
        """Ends the run after its last stage or a failure; after another success the next stage goes on with it."""
        if self._is_last or status != "success":
            self.run_logger.finalize(status)
