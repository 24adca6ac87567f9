"""Episodes to batches on the training device."""

import logging
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Int
from lightning import LightningDataModule
from torch import Tensor

from diffplan.data.source.base import AbstractSource, DataIdentity, Episode
from diffplan.data.windows import Padding, TrajectoryWindow, WindowIndex, returns_to_go
from diffplan.errors import ConfigError, DataError, TaskMismatchError
from diffplan.method.critic import ReturnTarget
from diffplan.method.normalizer import AbstractNormalizer
from diffplan.method.trajectory import TrajectoryBatch, TransitionLayout


class BatchLoader:
    """An endless-in-spirit stream of shuffled batches that is a pure function of the seed and the batch number.

    All windows are visited once an epoch in an order drawn from (seed, epoch); batches run on across epoch borders. A
    resumed run therefore needs one number to continue exactly, and processes of one run share the stream: each takes
    its slice of every batch.

    Args:
        windows: Where batches are gathered from; lives on the training device.
        batch_size: Windows a batch and process.
        num_batches: Batches until training ends.
        seed: Seed of the order.
        rank: Number of this process.
        world_size: Processes that share the stream.
    """

    def __init__(
        self,
        windows: TrajectoryWindow,
        batch_size: int,
        num_batches: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.windows = windows
        self.batch_size = batch_size
        self.num_batches = num_batches
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.number = 0
        self._orders: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return self.num_batches

    def __iter__(self) -> Iterator[TrajectoryBatch]:
        while self.number < self.num_batches:
            number = self.number
            self.number += 1
            yield self.windows.batch(self._window_numbers(number), number)

    def state_dict(self) -> dict[str, int]:
        """How far the stream has been read; Lightning stores it in the checkpoint."""
        return {"number": self.number}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continues behind the batches that were read."""
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


logger = logging.getLogger(__name__)


class TrajectoryDataModule(LightningDataModule):
    """Turns a source of episodes into batches of normalised windows on the training device.

    Args:
        source: Where episodes come from.
        normalizer: Fitted here on all valid rows.
        action_dim: Action columns of a plan row; 0 plans observations only.
        observation_dim: Observation columns.
        horizon: Rows of a window.
        stride: Environment steps between two rows.
        batch_size: Windows a step, process and micro-batch.
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
        """Downloads or generates, on one process."""
        self.source.prepare()

    def setup(self, stage: str) -> None:
        """Reads all episodes, fits the normaliser and lays out the windows."""
        if self.windows is not None:
            return
        episodes = list(self.source.episodes())
        if not episodes:
            raise DataError("the data set holds no episode; check its segmentation with diffplan-data inspect.")
        self.identity = self.source.identity()
        index = WindowIndex(
            [len(episode) for episode in episodes],
            self.horizon,
            self.stride,
            self.padding,
            self.max_path_length,
            self.drop_last_window,
        )
        transitions = self._flatten(episodes)
        self.normalizer.fit(transitions)
        rows = torch.from_numpy(transitions)
        self.windows = TrajectoryWindow(
            self.normalizer.normalize(rows),
            self.normalizer.normalize(torch.zeros(self.layout.transition_dim)),
            index,
            self.horizon,
            self.stride,
            self.padding,
            None if self.returns is None else torch.from_numpy(returns_to_go(episodes, self.returns)),
        )
        logger.info(
            "%s (%s): %d episodes, %d transitions, %d windows",
            self.identity.name,
            self.identity.kind,
            len(episodes),
            len(transitions),
            len(index),
        )

    def train_dataloader(self) -> BatchLoader:
        """Gathers on the training device; every process takes its share."""
        if self.windows is None or self.trainer is None:
            raise RuntimeError("train_dataloader needs setup and a trainer.")
        return BatchLoader(
            self.windows.to(self.trainer.strategy.root_device),
            self.batch_size,
            num_batches=self.trainer.max_steps * self.trainer.accumulate_grad_batches,
            seed=self.seed,
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
        )

    def transfer_batch_to_device(
        self, batch: TrajectoryBatch, device: torch.device, dataloader_idx: int
    ) -> TrajectoryBatch:
        """Batches are born on the device."""
        return batch

    def _flatten(self, episodes: list[Episode]) -> np.ndarray:
        first = episodes[0]
        if first.observations.shape[1] != self.layout.observation_dim:
            raise TaskMismatchError(
                f"the task declares observation_dim={self.layout.observation_dim} but the data has "
                f"{first.observations.shape[1]}; fix the task's yaml or choose its own data."
            )
        if self.layout.action_dim not in (0, first.actions.shape[1]):
            raise TaskMismatchError(
                f"the task declares action_dim={self.layout.action_dim} but the data has {first.actions.shape[1]}; "
                "fix the task's yaml or choose its own data."
            )
        columns = ["observations"] if self.layout.action_dim == 0 else ["actions", "observations"]
        parts = [np.concatenate([getattr(episode, column) for episode in episodes]) for column in columns]
        return np.concatenate(parts, axis=1, dtype=np.float32)
