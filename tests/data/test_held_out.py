from dataclasses import replace

import pytest
import torch

from diffplan.data.held_out import held_out_sample, split_episodes
from diffplan.data.windows import TrajectoryWindow, WindowIndex
from diffplan.errors import DataError
from diffplan.method.trajectory import TransitionLayout


def windows_of(lengths, horizon: int = 4, padding="none") -> TrajectoryWindow:
    """Rows that say of which episode they are; returns that say which row a window begins at."""
    index = WindowIndex(lengths, horizon, 1, padding)
    numbers = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths)).float()
    states = torch.randn(len(numbers), 2, generator=torch.Generator().manual_seed(0))
    rows = torch.cat([numbers[:, None], states], dim=1)
    return TrajectoryWindow.of_index(index, rows, torch.zeros(3), torch.arange(len(rows)).float())


def episodes_in(windows: TrajectoryWindow) -> set[int]:
    """Every episode that a row of any window is of."""
    trajectories, valid = windows.gather(torch.arange(len(windows)))
    return {int(number) for number in trajectories[valid][:, 0].unique()}


@pytest.mark.parametrize("padding", ["none", "edge"])
def test_no_row_of_a_held_out_episode_is_in_a_training_window(padding):
    windows = windows_of([9, 5, 12, 7, 20, 6, 8, 15, 4, 11], padding=padding)
    training, held_out = split_episodes(windows, 0.3, seed=0)
    assert len(episodes_in(held_out)) == 3
    assert episodes_in(training) | episodes_in(held_out) == set(range(10))
    assert episodes_in(training) & episodes_in(held_out) == set()
    assert len(training) + len(held_out) == len(windows)


def test_the_choice_depends_on_the_seed_and_the_data_alone():
    windows = windows_of([8] * 30)
    torch.manual_seed(1)
    first = episodes_in(split_episodes(windows, 0.2, seed=3)[1])
    torch.manual_seed(2)
    assert episodes_in(split_episodes(windows, 0.2, seed=3)[1]) == first
    assert episodes_in(split_episodes(windows, 0.2, seed=4)[1]) != first


@pytest.mark.parametrize(("share", "num_held_out"), [(0.001, 1), (0.5, 2), (0.99, 3)])
def test_one_episode_at_least_is_held_out_and_one_is_left(share, num_held_out):
    _, held_out = split_episodes(windows_of([8] * 4), share, seed=0)
    assert len(episodes_in(held_out)) == num_held_out


def test_one_episode_cannot_be_divided():
    """Episodes that are too short for a window do not count."""
    with pytest.raises(DataError, match=r"critic.held_out=0.1 holds out whole episodes and needs two at least"):
        split_episodes(windows_of([8, 3]), 0.1, seed=0)


def test_each_drawn_window_has_the_nearest_state_of_another_episode_beside_it():
    windows, layout = windows_of([40] * 5), TransitionLayout(1, 2)
    sample = held_out_sample(windows, layout, seed=0)
    assert sample.num_drawn == len(windows) == len(sample.pairs)
    first = windows.transitions[windows.starts]
    for anchor, neighbour in sample.pairs.tolist():
        mine, theirs = sample.trajectories[anchor, 0], sample.trajectories[neighbour, 0]
        others = first[first[:, 0] != mine[0]]
        assert mine[0] != theirs[0]
        assert (mine - theirs)[1:].norm() == pytest.approx(float((others - mine)[:, 1:].norm(dim=1).min()))
        assert sample.returns[neighbour] == windows.starts[(first == theirs).all(dim=1)].float()


def test_one_held_out_episode_has_no_pairs():
    windows = windows_of([40])
    sample = held_out_sample(replace(windows), TransitionLayout(1, 2), seed=0)
    assert len(sample.pairs) == 0
    assert len(sample.returns) == sample.num_drawn
