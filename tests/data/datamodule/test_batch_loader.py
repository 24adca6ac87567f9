import itertools

import pytest
import torch

from diffplan.data.datamodule import BatchLoader
from diffplan.data.windows import TrajectoryWindow, WindowIndex


def loader(batch_size: int, num_batches: int = 1000, num_windows: int = 10, seed: int = 0, **process) -> BatchLoader:
    """Batches of windows of one row, whose only entry is the window's number."""
    numbers = torch.arange(num_windows, dtype=torch.float32)[:, None]
    windows = TrajectoryWindow.of_index(WindowIndex([num_windows], 1), numbers, torch.zeros(1))
    return BatchLoader(windows, batch_size, num_batches, seed, **process)


def seen(batches) -> list[list[int]]:
    return [batch.trajectories.flatten().int().tolist() for batch in batches]


def joined(batches) -> list[int]:
    return list(itertools.chain.from_iterable(batches))


def test_one_epoch_visits_every_window_once():
    stream = joined(seen(itertools.islice(loader(batch_size=2), 15)))
    for epoch in range(3):
        assert sorted(stream[10 * epoch : 10 * epoch + 10]) == list(range(10))


def test_every_epoch_has_an_order_of_its_own():
    stream = joined(seen(itertools.islice(loader(batch_size=10, num_windows=10), 3)))
    assert stream[:10] != stream[10:20] != stream[20:]
    assert stream[:10] != list(range(10))


@pytest.mark.parametrize("batch_size", [3, 7, 10, 23])
def test_batches_run_on_across_epoch_borders(batch_size):
    batches = seen(itertools.islice(loader(batch_size), 20))
    assert {len(batch) for batch in batches} == {batch_size}
    one_by_one = joined(seen(itertools.islice(loader(1), 20 * batch_size)))
    assert joined(batches) == one_by_one


def test_batches_are_numbered_and_end_after_the_asked_number():
    stream = loader(batch_size=3, num_batches=4)
    assert len(stream) == 4
    assert [batch.number for batch in stream] == [0, 1, 2, 3]
    assert list(stream) == []


@pytest.mark.parametrize("read", [0, 1, 5, 9])
def test_a_resumed_stream_goes_on_where_it_was_left(read):
    whole = seen(loader(batch_size=3, num_batches=12))
    first = loader(batch_size=3, num_batches=12)
    assert seen(itertools.islice(first, read)) == whole[:read]
    resumed = loader(batch_size=3, num_batches=12)
    resumed.load_state_dict(first.state_dict())
    rest = list(resumed)
    assert seen(rest) == whole[read:]
    assert [batch.number for batch in rest] == list(range(read, 12))


def test_the_order_depends_on_the_seed_alone():
    assert seen(loader(5, 4, seed=3)) == seen(loader(5, 4, seed=3))
    assert seen(loader(5, 4, seed=3)) != seen(loader(5, 4, seed=4))


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_one_stream(world_size):
    ranks = [seen(loader(2, 10, rank=rank, world_size=world_size)) for rank in range(world_size)]
    together = [joined(parts) for parts in zip(*ranks, strict=True)]
    assert together == seen(loader(2 * world_size, 10))
