import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffplan.data.windows import WindowIndex
from diffplan.errors import ConfigError, DataError


@pytest.mark.parametrize(
    ("length", "horizon", "padding", "max_path_length", "expected"),
    [
        (1000, 32, "zero", 1000, 968),
        (50, 32, "zero", 1000, 49),
        (20, 32, "zero", 1000, 19),
        (1000, 4, "zero", 1000, 996),
        (129, 128, "none", 40_000, 1),
        (500, 128, "none", 40_000, 372),
    ],
)
def test_the_released_code_s_windows_can_be_had(length, horizon, padding, max_path_length, expected):
    index = WindowIndex([length], horizon, 1, padding, max_path_length, drop_last_window=True)
    assert index.starts.tolist() == list(range(expected))


def test_the_released_code_drops_an_episode_of_exactly_the_horizon():
    with pytest.raises(DataError, match="no training window fits"):
        WindowIndex([128], 128, 1, "none", 40_000, drop_last_window=True)
    assert len(WindowIndex([128, 129], 128, 1, "none", 40_000, drop_last_window=True)) == 1


@pytest.mark.parametrize(("length", "expected"), [(128, 1), (129, 2), (500, 373)])
def test_the_last_window_of_an_episode_is_yielded(length, expected):
    index = WindowIndex([length], 128)
    assert index.starts.tolist() == list(range(expected))
    assert index.starts[-1] + 128 == length


@pytest.mark.parametrize("padding", ["zero", "edge"])
@pytest.mark.parametrize("length", [1, 20, 1000])
def test_with_padding_every_row_starts_a_window(padding, length):
    assert WindowIndex([length], 32, padding=padding).starts.tolist() == list(range(length))


def test_a_window_with_stride_spans_more_steps():
    # Rows 0, 2 and 4 of nine: the picture in the docstring.
    index = WindowIndex([9], horizon=3, stride=2)
    assert index.span == 5
    assert index.starts.tolist() == [0, 1, 2, 3, 4]


def test_windows_of_several_episodes_are_numbered_in_file_order():
    index = WindowIndex([4, 2, 3], horizon=3)
    assert index.starts.tolist() == [0, 1, 6]
    assert index.ends.tolist() == [4, 4, 9]
    assert len(index) == 3


@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    horizon=st.integers(1, 8),
    stride=st.integers(1, 4),
    padding=st.sampled_from(["none", "zero", "edge"]),
)
def test_the_table_is_what_a_loop_over_episodes_would_write(lengths, horizon, stride, padding):
    span, first, expected = (horizon - 1) * stride + 1, 0, []
    for length in lengths:
        for start in range(length):
            if padding != "none" or start + span <= length:
                expected.append((first + start, first + length))
        first += length
    if not expected:
        with pytest.raises(DataError):
            WindowIndex(lengths, horizon, stride, padding)
        return
    index = WindowIndex(lengths, horizon, stride, padding)
    assert list(zip(index.starts.tolist(), index.ends.tolist(), strict=True)) == expected
    assert index.starts.dtype == np.int64


def test_no_window_at_all_is_an_error_that_says_what_is_too_long():
    with pytest.raises(DataError, match=r"one spans 61 steps \(horizon 16, stride 4\) but the longest of 2 .* has 60"):
        WindowIndex([60, 10], 16, 4)
    with pytest.raises(DataError, match="the longest of 0 episodes has 0"):
        WindowIndex([], 16)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"horizon": 0}, "horizon and stride must be at least 1, got 0 and 1"),
        ({"horizon": 4, "stride": 0}, "horizon and stride must be at least 1, got 4 and 0"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        WindowIndex([10], **settings)
