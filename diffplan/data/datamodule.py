"""From a source of data to batches on the training device."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float32, Int
from lightning import LightningDataModule
from torch import Tensor

from diffplan.data.source.base import AbstractSource, DataIdentity, Transitions, check_dimensions
from diffplan.data.windows import Padding, TrajectoryWindow, WindowIndex
from diffplan.errors import ConfigError, DataError
from diffplan.method.critic import ReturnTarget, returns_to_go
from diffplan.method.normalizer import AbstractNormalizer
from diffplan.method.trajectory import TrajectoryBatch, TransitionLayout

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class BatchLoader:
    """A stream of shuffled batches in which each batch depends on the seed and the batch's number only.

    One epoch visits all windows once, in an order drawn from seed and epoch. A batch may reach over the end of an
    epoch into the next one. A resumed run therefore needs one number to continue exactly. The processes of one run
    share the stream: each takes its slice of every batch.

    Attributes:
        windows: Windows on the training device.
        batch_size: Windows per batch and process.
        num_batches: Batches until training ends.
        seed: Seed of the order.
        rank: Number of this process.
        world_size: Processes that share the stream.
        number: Batches that were read.
    """

    windows: TrajectoryWindow
    batch_size: int
    num_batches: int
    seed: int
    rank: int = 0
    world_size: int = 1
    number: int = field(default=0, init=False)
    _orders: dict[int, Tensor] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[TrajectoryBatch]:
        while self.number < self.num_batches:
            number = self.number
            self.number += 1
            yield self.windows.batch(self._window_numbers(number), number)

    def state_dict(self) -> dict[str, int]:
        """Returns how far the stream has been read; Lightning stores it in the checkpoint."""
        return {"number": self.number}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continues after the batches that were read."""
        self.number = state["number"]

    def _window_numbers(self, number: int) -> Int[Tensor, " batch"]:
        first = (number * self.world_size + self.rank) * self.batch_size
        numbers: list[Tensor] = []
        missing = self.batch_size
        while missing:
            epoch, position = divmod(first, len(self.windows))
            numbers.append(self._order(epoch)[position : position + missing])
            first += len(numbers[-1])
            missing -= len(numbers[-1])
        return torch.cat(numbers)

    def _order(self, epoch: int) -> Int[Tensor, " window"]:
        if epoch not in self._orders:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            order = torch.randperm(len(self.windows), generator=generator)
            self._orders = {epoch: order.to(self.windows.starts.device)}
        return self._orders[epoch]


class TrajectoryDataModule(LightningDataModule):
    """Turns a source of data into batches of normalised windows on the training device.

    It fits the normaliser, once. The networks that are trained on the batches share it, and the layout.

    Args:
        source: Where the data comes from.
        normalizer: Fitted in ``setup`` on all rows.
        action_dim: Action columns of a plan row; 0 plans observations only.
        observation_dim: Observation columns.
        horizon: Rows of a window.
        stride: Environment steps between two rows.
        batch_size: Windows per micro-batch and process.
        seed: Seed of the order of windows.
        padding: What follows an episode's end, see ``WindowIndex``.
        max_path_length: See ``WindowIndex``.
        drop_last_window: See ``WindowIndex``.
        returns: What a critic is to predict; None adds no returns to the batches.
    """

    def __init__(
        self,
        source: AbstractSource,
        normalizer: AbstractNormalizer,
        action_dim: int,
        observation_dim: int,
        horizon: int,
        stride: int,
        batch_size: int,
        seed: int,
        padding: Padding = "none",
        max_path_length: int | None = None,
        drop_last_window: bool = False,
        returns: ReturnTarget | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ConfigError(f"datamodule.batch_size must be at least 1, got {batch_size}.")
        self.source = source
        self.normalizer = normalizer
        self.layout = TransitionLayout(action_dim, observation_dim)
        self.horizon = horizon
        self.stride = stride
        self.batch_size = batch_size
        self.seed = seed
        self.padding: Padding = padding
        self.max_path_length = max_path_length
        self.drop_last_window = drop_last_window
        self.returns = returns
        self.windows: TrajectoryWindow | None = None
        self.identity: DataIdentity | None = None

    def prepare_data(self) -> None:
        """Downloads or generates the data, on one process."""
        self.source.prepare()

    def setup(self, stage: str) -> None:
        """Reads all data, fits the normaliser and lays out the windows; a second call does nothing."""
        if self.windows is not None:
            return
        data = self.source.read()
        if len(data.ends) == 0:
            raise DataError("the data set holds no episode; check its segmentation with diffplan data inspect.")
        self.identity = self.source.identity()
        index = WindowIndex(
            data.lengths, self.horizon, self.stride, self.padding, self.max_path_length, self.drop_last_window
        )
        rows = self._join(data)
        self.normalizer.fit(rows)
        self.windows = TrajectoryWindow.of_index(
            index,
            self.normalizer.normalize(torch.from_numpy(rows)),
            self.normalizer.normalize(torch.zeros(self.layout.transition_dim)),
            self._returns(data),
        )
        logger.info(
            "%s (%s): %d episodes, %d transitions, %d windows",
            self.identity.name,
            self.identity.kind,
            len(data.ends),
            len(rows),
            len(index),
        )

    def train_dataloader(self) -> BatchLoader:
        """Returns the stream of batches, gathered on the training device; every process takes its share."""
        trainer = self.trainer
        if trainer is None:
            raise RuntimeError("train_dataloader needs a trainer")
        num_batches = trainer.max_steps * trainer.accumulate_grad_batches
        return self.stream(trainer.strategy.root_device, num_batches, trainer.global_rank, trainer.world_size)

    def stream(self, device: torch.device, num_batches: int, rank: int = 0, world_size: int = 1) -> BatchLoader:
        """Returns the stream of batches without a trainer; ``setup`` comes first.

        Args:
            device: Where batches are gathered.
            num_batches: Batches until training ends.
            rank: Number of this process.
            world_size: Processes that share the stream.
        """
        if self.windows is None:
            raise RuntimeError("stream needs setup")
        return BatchLoader(self.windows.to(device), self.batch_size, num_batches, self.seed, rank, world_size)

    def transfer_batch_to_device(
        self, batch: TrajectoryBatch, device: torch.device, dataloader_idx: int
    ) -> TrajectoryBatch:
        """Returns the batch as it is: it was gathered on the device."""
        return batch

    def _join(self, data: Transitions) -> Float32[np.ndarray, "rows transition"]:
        """Puts the planned columns side by side, in the layout's order."""
        declared = (self.layout.observation_dim, self.layout.action_dim or None)
        found = (data.observations.shape[1], data.actions.shape[1])
        check_dimensions("the task", declared, "the data", found, "Fix the task's yaml or choose its own data.")
        if self.layout.action_dim == 0:
            return data.observations
        return np.concatenate([data.actions, data.observations], axis=1)

    def _returns(self, data: Transitions) -> Float32[Tensor, " rows"] | None:
        if self.returns is None:
            return None
        return torch.from_numpy(returns_to_go(data.rewards, data.ends, data.terminated, self.returns)).float()
