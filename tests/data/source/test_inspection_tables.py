import numpy as np
from rich.console import Console

from diffplan.data.catalog import dataset
from diffplan.data.inspection import episode_table, statistics_table
from diffplan.data.source.d4rl_file import D4RLArrays

ARRAYS = D4RLArrays(
    observations=np.array([[1.0], [3.0], [5.0]], np.float32),
    actions=np.zeros((3, 1), np.float32),
    rewards=np.array([1.0, 2.0, 4.0], np.float32),
    terminals=np.array([False, True, False]),
    timeouts=np.array([False, False, True]),
    metadata={},
)


def test_episodes_are_counted_and_their_returns_summarised():
    console = Console(width=200)
    with console.capture() as capture:
        console.print(episode_table(ARRAYS, None))
    assert capture.get().splitlines()[-1].split() == ["flags", "2", "1", "1", "1.5", "2", "3.5", "0.5", "4.0"]


def test_columns_have_their_statistics():
    console = Console(width=200)
    with console.capture() as capture:
        console.print(statistics_table(ARRAYS, None))
    assert capture.get().splitlines()[1].split() == ["observation", "0", "3", "1.633", "1", "5"]


def test_published_values_stand_in_brackets():
    console = Console(width=200)
    with console.capture() as capture:
        console.print(statistics_table(ARRAYS, dataset("hopper-medium-v2")))
    assert "published values in brackets" in capture.get()
    assert "(5.9441)" in capture.get()  # the best reward of D4RL's set
