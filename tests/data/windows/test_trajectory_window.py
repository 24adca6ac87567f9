import pytest
import torch

from diffplan.data.windows import TrajectoryWindow, WindowIndex

# Two episodes of 5 and 3 rows; column 0 counts rows, column 1 episodes.
TRANSITIONS = torch.tensor([[0, 0], [1, 0], [2, 0], [3, 0], [4, 0], [5, 1], [6, 1], [7, 1]], dtype=torch.float32)
PADDING_ROW = torch.tensor([-9.0, -8.0])


def windows(horizon: int, stride: int = 1, padding: str = "none") -> TrajectoryWindow:
    index = WindowIndex([5, 3], horizon, stride, padding)
    return TrajectoryWindow.of_index(index, TRANSITIONS, PADDING_ROW)


def test_unpadded_windows_are_the_rows_of_their_episode():
    trajectories, valid = windows(3).gather(torch.arange(4))
    assert trajectories[..., 0].tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4], [5, 6, 7]]
    assert valid.all()


def test_a_stride_takes_every_so_many_rows():
    trajectories, _ = windows(2, stride=3).gather(torch.arange(2))
    assert trajectories[..., 0].tolist() == [[0, 3], [1, 4]]


def test_zero_padding_is_the_normalised_raw_zero():
    trajectories, valid = windows(3, padding="zero").gather(torch.tensor([4, 6]))
    assert trajectories.tolist() == [[[4, 0], [-9, -8], [-9, -8]], [[6, 1], [7, 1], [-9, -8]]]
    assert valid.tolist() == [[True, False, False], [True, True, False]]


def test_edge_padding_repeats_the_last_row():
    trajectories, valid = windows(3, padding="edge").gather(torch.tensor([3, 7]))
    assert trajectories[..., 0].tolist() == [[3, 4, 4], [7, 7, 7]]
    assert valid.tolist() == [[True, True, False], [True, False, False]]


@pytest.mark.parametrize("padding", ["none", "zero", "edge"])
@pytest.mark.parametrize("stride", [1, 2])
def test_no_window_reaches_into_another_episode(padding, stride):
    cut = windows(2, stride, padding)
    trajectories, valid = cut.gather(torch.arange(len(cut)))
    episodes = torch.where(valid, trajectories[..., 1], trajectories[:, :1, 1])
    assert (episodes == episodes[:, :1]).all()


def test_a_window_may_be_asked_for_twice():
    trajectories, _ = windows(3).gather(torch.tensor([2, 2]))
    assert torch.equal(trajectories[0], trajectories[1])


def test_a_batch_holds_the_return_of_each_window_s_first_row():
    index = WindowIndex([5, 3], 3, 1, "zero")
    held = TrajectoryWindow.of_index(index, TRANSITIONS, PADDING_ROW, torch.arange(8.0) * 10)
    batch = held.batch(torch.tensor([0, 4, 6]), number=9)
    assert batch.returns.tolist() == [0, 40, 60]
    assert batch.number == 9
    assert batch.trajectories[:, 0, 0].tolist() == [0, 4, 6]
    assert held.return_range() == (0.0, 70.0)


def test_the_range_of_returns_is_over_rows_that_begin_windows():
    index = WindowIndex([5, 3], 3, 1, "none")
    held = TrajectoryWindow.of_index(index, TRANSITIONS, PADDING_ROW, torch.arange(8.0))
    assert held.return_range() == (0.0, 5.0)


def test_windows_without_returns_say_so():
    assert windows(3).batch(torch.tensor([0]), 0).returns is None
    with pytest.raises(RuntimeError, match="have no returns"):
        windows(3).return_range()
