from collections.abc import Iterator

import torch
from jaxtyping import Int
from torch import Tensor

from diffplan.trajectory import TrajectoryBatch
from diffplan.window import TrajectoryWindow


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
