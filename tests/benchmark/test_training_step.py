"""What a training step and its batch cost, beside diffusers' network and a per-item data loader. Never pass or fail.

Run with ``make benchmark``, which leaves the shape checks out. Both sides alternate in one process; ratios are of
medians.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from diffusers import UNet1DModel
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from diffplan.data.datamodule import BatchLoader
from diffplan.data.windows import TrajectoryWindow, WindowIndex
from diffplan.method.network.temporal_unet import TemporalUnet

SHAPES = {  # name: transition_dim, horizon, multipliers
    "hopper": (14, 32, (1, 2, 4, 8)),
    "maze2d-umaze": (6, 128, (1, 4, 8)),
}


def alternate(ours: Callable[[], None], theirs: Callable[[], None], rounds: int) -> tuple[float, float]:
    """Median CPU seconds of each, measured turn by turn after one warm-up."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        for side, function in enumerate((ours, theirs)):
            begin = time.process_time()
            function()
            if turn:
                seconds[side].append(time.process_time() - begin)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def training_step(network: torch.nn.Module, predict: Callable[[], torch.Tensor]) -> Callable[[], None]:
    optimizer = torch.optim.Adam(network.parameters(), fused=True)

    def step() -> None:
        optimizer.zero_grad()
        predict().square().mean().backward()
        optimizer.step()

    return step


def flops(function: Callable[[], None]) -> float:
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops() / 1e9


@pytest.mark.benchmark
@pytest.mark.parametrize("name", SHAPES)
def test_training_step_beside_diffusers(name: str) -> None:
    transition_dim, horizon, multipliers = SHAPES[name]
    ours = TemporalUnet(transition_dim, dim_multipliers=multipliers)
    theirs = UNet1DModel(
        in_channels=transition_dim,
        out_channels=transition_dim,
        time_embedding_type="positional",
        use_timestep_embedding=True,
        flip_sin_to_cos=False,
        freq_shift=1,
        down_block_types=["DownResnetBlock1D"] * len(multipliers),
        mid_block_type="MidResTemporalBlock1D",
        up_block_types=["UpResnetBlock1D"] * (len(multipliers) - 1),
        out_block_type="OutConv1DBlock",
        block_out_channels=[32 * multiplier for multiplier in multipliers],
        layers_per_block=1,
        downsample_each_block=False,
        act_fn="mish",
    )
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    batch, timesteps = torch.randn(32, horizon, transition_dim), torch.randint(0, 20, (32,))
    columns_first = batch.transpose(1, 2).contiguous()
    our_step = training_step(ours, lambda: ours(batch, timesteps))
    their_step = training_step(theirs, lambda: theirs(columns_first, timesteps).sample)
    our_seconds, their_seconds = alternate(our_step, their_step, rounds=15)
    print(
        f"\n{name}, batch 32: {flops(our_step):.3f} GFLOP against diffusers' {flops(their_step):.3f}; "
        f"CPU seconds {our_seconds:.4f} against {their_seconds:.4f}, ratio {our_seconds / their_seconds:.2f}"
    )


class PerItemWindows(Dataset):
    """The original's way: one Python call a window, collated by a loader."""

    def __init__(self, transitions: np.ndarray, starts: np.ndarray, horizon: int) -> None:
        self.transitions, self.starts, self.horizon = transitions, starts, horizon

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, item: int) -> np.ndarray:
        start = self.starts[item]
        return self.transitions[start : start + self.horizon]


@pytest.mark.benchmark
def test_batch_beside_a_per_item_loader() -> None:
    horizon, rows = 128, 200_000
    transitions = np.random.default_rng(0).standard_normal((rows, 6), dtype=np.float32)
    index = WindowIndex([rows], horizon)
    windows = TrajectoryWindow.of_index(index, torch.from_numpy(transitions), torch.zeros(6))
    ours = iter(BatchLoader(windows, 32, num_batches=10**9, seed=0))
    theirs = iter(DataLoader(PerItemWindows(transitions, index.starts, horizon), batch_size=32, shuffle=True))
    our_seconds, their_seconds = alternate(lambda: next(ours) and None, lambda: next(theirs) is None, rounds=200)
    print(
        f"\nbatch of 32 windows of {horizon} rows: CPU seconds {our_seconds:.6f} against {their_seconds:.6f} "
        f"for a per-item loader, ratio {our_seconds / their_seconds:.2f}"
    )
