import time
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffplan.data.segmentation import segment_by_flags, segment_by_goal_departure
from diffplan.data.source.base import Episode, Transitions
from diffplan.data.source.d4rl_file import D4RLArrays


def make_arrays(rows: int, **columns: np.ndarray) -> D4RLArrays:
    defaults = {
        "observations": np.arange(rows * 4, dtype=np.float32).reshape(rows, 4),
        "actions": np.zeros((rows, 2), dtype=np.float32),
        "rewards": np.arange(rows, dtype=np.float32),
        "terminals": np.zeros(rows, dtype=bool),
        "timeouts": np.zeros(rows, dtype=bool),
    }
    return D4RLArrays(**(defaults | columns), metadata={})


def spans(episodes: Transitions | Iterator[Episode]) -> list[tuple[int, int]]:
    """First and last row of each episode; rewards are row numbers in these tests."""
    if isinstance(episodes, Transitions):
        episodes = episodes.episodes()
    return [(int(episode.rewards[0]), int(episode.rewards[-1])) for episode in episodes]


def test_flags_end_episodes_and_say_why(five_episodes):
    episodes = list(segment_by_flags(D4RLArrays(**five_episodes, metadata={})).episodes())
    assert spans(iter(episodes)) == [(0, 2), (3, 4), (5, 6), (7, 7), (8, 11)]
    assert [episode.terminated for episode in episodes] == [True, False, True, True, False]
    assert [episode.truncated for episode in episodes] == [False, True, False, False, True]


def test_unfinished_rows_can_be_left_out(five_episodes):
    arrays = D4RLArrays(**five_episodes, metadata={})
    assert spans(segment_by_flags(arrays, include_unfinished=False)) == [(0, 2), (3, 4), (5, 6), (7, 7)]


def test_a_flag_in_the_last_row_leaves_nothing_unfinished():
    timeouts = np.array([False, True, False, True])
    assert spans(segment_by_flags(make_arrays(4, timeouts=timeouts))) == [(0, 1), (2, 3)]


def test_rows_without_flags_are_one_episode_or_none():
    assert spans(segment_by_flags(make_arrays(5))) == [(0, 4)]
    assert spans(segment_by_flags(make_arrays(5), include_unfinished=False)) == []


def test_all_arrays_of_an_episode_cover_the_same_rows(five_episodes):
    for episode in segment_by_flags(D4RLArrays(**five_episodes, metadata={})).episodes():
        rows = episode.rewards.astype(int)
        np.testing.assert_array_equal(episode.observations, five_episodes["observations"][rows])
        np.testing.assert_array_equal(episode.actions, five_episodes["actions"][rows])


def test_episodes_are_views_of_the_file_s_arrays(five_episodes):
    arrays = D4RLArrays(**five_episodes, metadata={})
    for episode in segment_by_flags(arrays).episodes():
        assert np.shares_memory(episode.observations, arrays.observations)
        assert np.shares_memory(episode.actions, arrays.actions)


def at(*positions: float) -> np.ndarray:
    """Observations whose x is given and whose y is 1; the goal in these tests is (1, 1)."""
    return np.array([[x, 1.0, 0.0, 0.0] for x in positions], dtype=np.float32)


def test_an_episode_ends_at_the_last_row_inside_the_goal_s_disc():
    #                     outside  in   in   out  out  in   out
    arrays = make_arrays(7, observations=at(3.0, 1.4, 1.0, 2.0, 1.6, 0.6, 0.4))
    assert spans(segment_by_goal_departure(arrays, (1.0, 1.0))) == [(0, 2), (3, 5), (6, 6)]
    assert spans(segment_by_goal_departure(arrays, (1.0, 1.0), include_unfinished=False)) == [(0, 2), (3, 5)]


def test_the_edge_of_the_disc_is_outside():
    arrays = make_arrays(3, observations=at(1.5, 1.0, 1.5))
    assert spans(segment_by_goal_departure(arrays, (1.0, 1.0))) == [(0, 1), (2, 2)]
    assert spans(segment_by_goal_departure(arrays, (1.0, 1.0), radius=0.75)) == [(0, 2)]


def test_data_that_ends_at_the_goal_has_no_departure_there():
    arrays = make_arrays(3, observations=at(3.0, 2.0, 1.0))
    assert spans(segment_by_goal_departure(arrays, (1.0, 1.0), include_unfinished=False)) == []


def test_recorded_flags_do_not_cut_between_goal_departures():
    flags = np.array([True, True, True, True])
    arrays = make_arrays(4, observations=at(3.0, 2.0, 1.0, 2.0), terminals=flags, timeouts=flags)
    episodes = list(segment_by_goal_departure(arrays, (1.0, 1.0)).episodes())
    assert spans(iter(episodes)) == [(0, 2), (3, 3)]
    assert not any(episode.terminated for episode in episodes)
    assert all(episode.truncated for episode in episodes)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40), st.booleans())
def test_flags_cut_as_a_plain_loop_does(flags, include_unfinished):
    terminals = np.array([flag[0] for flag in flags])
    timeouts = np.array([flag[1] for flag in flags])
    expected, start = [], 0
    for row in range(len(flags)):
        if terminals[row] or timeouts[row]:
            expected.append((start, row))
            start = row + 1
    if include_unfinished and start < len(flags):
        expected.append((start, len(flags) - 1))
    arrays = make_arrays(len(flags), terminals=terminals, timeouts=timeouts)
    assert spans(segment_by_flags(arrays, include_unfinished)) == expected


@pytest.mark.benchmark
def test_time_to_cut_four_million_rows(capsys):
    rows = 4_000_000
    phase = np.arange(rows, dtype=np.float32)[:, None] * np.array([0.01, 0.013, 1.0, 1.0], dtype=np.float32)
    timeouts = np.zeros(rows, dtype=bool)
    timeouts[::1000] = True
    arrays = make_arrays(rows, observations=4.0 + 4.0 * np.sin(phase), timeouts=timeouts)
    for name, cut in (
        ("flags", segment_by_flags),
        ("goal departure", partial(segment_by_goal_departure, target=(6.0, 6.0))),
    ):
        start = time.process_time()
        assert cut(arrays).ends[-1] == rows
        with capsys.disabled():
            print(f"{name}: {time.process_time() - start:.2f} CPU seconds")
