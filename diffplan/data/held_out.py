"""Episodes that a critic is not trained on, so that it can be checked on them."""

from dataclasses import replace

import torch
from jaxtyping import Float
from lightning import LightningDataModule
from torch import Tensor

from diffplan.data.datamodule import BatchLoader, TrajectoryDataModule
from diffplan.data.source.base import DataIdentity
from diffplan.data.windows import TrajectoryWindow
from diffplan.errors import DataError
from diffplan.method.critic_check import HeldOutSample
from diffplan.method.trajectory import TrajectoryBatch, TransitionLayout

# A check of 1,024 windows and their neighbours costs about as much as 25 training steps of 64 windows.
_NUM_DRAWN, _MOST_CANDIDATES, _AT_ONCE = 1024, 20_000, 128


class HeldOutDataModule(LightningDataModule):
    """The data of a critic's training: the batches of another data module without the windows of held-out episodes.

    Which episodes are held out depends on the seed and the data only. The normaliser is fitted on all rows.

    Args:
        data: The data module of the run.
        share: Share of the episodes that are held out; one at least, and one at least is left.

    Attributes:
        windows: Windows to train on; after ``setup``.
        held_out: Windows of the held-out episodes; after ``setup``.
        sample: What the critic is checked on; after ``setup``.

    Raises:
        DataError: in ``setup``, if there is only one episode.
    """

    windows: TrajectoryWindow
    held_out: TrajectoryWindow
    sample: HeldOutSample

    def __init__(self, data: TrajectoryDataModule, share: float) -> None:
        super().__init__()
        self.data = data
        self.share = share

    @property
    def identity(self) -> DataIdentity | None:
        """What the whole data set is."""
        return self.data.identity

    def prepare_data(self) -> None:
        """Downloads or generates the data, on one process."""
        self.data.prepare_data()

    def setup(self, stage: str) -> None:
        """Reads the data and divides its episodes."""
        self.data.setup(stage)
        assert self.data.windows is not None
        self.windows, self.held_out = split_episodes(self.data.windows, self.share, self.data.seed)
        self.sample = held_out_sample(self.held_out, self.data.layout, self.data.seed)

    def train_dataloader(self) -> BatchLoader:
        """Returns the stream of batches; see ``TrajectoryDataModule``."""
        trainer = self.trainer
        assert trainer is not None
        num_batches = trainer.max_steps * trainer.accumulate_grad_batches
        device, rank, world_size = trainer.strategy.root_device, trainer.global_rank, trainer.world_size
        windows = self.windows.to(device)
        return BatchLoader(windows, self.data.batch_size, num_batches, self.data.seed, rank, world_size)

    def transfer_batch_to_device(
        self, batch: TrajectoryBatch, device: torch.device, dataloader_idx: int
    ) -> TrajectoryBatch:
        """Returns the batch as it is: it was gathered on the device."""
        return batch


def split_episodes(windows: TrajectoryWindow, share: float, seed: int) -> tuple[TrajectoryWindow, TrajectoryWindow]:
    """Divides windows by their episodes, at random, into those to train on and those that are held out.

    Args:
        windows: Windows of all episodes.
        share: Share of the episodes that are held out, above 0 and below 1.
        seed: Of the choice.

    Raises:
        DataError: there is only one episode with a window.
    """
    episodes = windows.ends.unique()
    if len(episodes) < 2:
        raise DataError(
            f"critic.held_out={share:g} holds out whole episodes and needs two at least, but only one episode of the "
            "data set has windows; set critic.held_out=0."
        )
    num_held_out = min(max(round(share * len(episodes)), 1), len(episodes) - 1)
    order = torch.randperm(len(episodes), generator=torch.Generator().manual_seed(seed))
    is_held_out = torch.isin(windows.ends, episodes[order[:num_held_out].to(episodes.device)])
    training, held_out = (
        replace(windows, starts=windows.starts[chosen], ends=windows.ends[chosen])
        for chosen in (~is_held_out, is_held_out)
    )
    return training, held_out


def held_out_sample(windows: TrajectoryWindow, layout: TransitionLayout, seed: int) -> HeldOutSample:
    """Draws windows, and for each the window of another episode that begins in the nearest state.

    Args:
        windows: Windows of the held-out episodes, with returns.
        layout: Columns of a row.
        seed: Of the choice.
    """
    assert windows.returns is not None
    order = torch.randperm(len(windows), generator=torch.Generator().manual_seed(seed))
    drawn, candidates = order[:_NUM_DRAWN], order[:_MOST_CANDIDATES]
    first = windows.transitions[windows.starts[candidates]][:, layout.observations]
    nearest, distances = _nearest(first, windows.ends[candidates], len(drawn))
    has_neighbour = distances.isfinite()
    anchors = torch.arange(len(drawn))[has_neighbour]
    neighbours = torch.arange(len(anchors)) + len(drawn)
    numbers = torch.cat([drawn, candidates[nearest[has_neighbour]]])
    batch = windows.batch(numbers)
    assert batch.returns is not None
    pairs = torch.stack([anchors, neighbours], dim=1)
    return HeldOutSample(batch.trajectories, batch.returns, windows.ends[numbers], pairs, len(drawn))


def _nearest(states: Float[Tensor, "candidate observation"], episodes: Tensor, num_drawn: int) -> tuple[Tensor, Tensor]:
    """Finds, for each of the first states, the nearest one of another episode; a few at once, to save memory."""
    nearest, distances = [], []
    for start in range(0, num_drawn, _AT_ONCE):
        chunk = slice(start, min(start + _AT_ONCE, num_drawn))
        apart = torch.cdist(states[chunk], states, compute_mode="donot_use_mm_for_euclid_dist")
        apart.masked_fill_(episodes[chunk, None] == episodes, torch.inf)
        least = apart.min(dim=1)
        nearest.append(least.indices)
        distances.append(least.values)
    return torch.cat(nearest), torch.cat(distances)
