import numpy as np
import pytest

from diffplan.data.data_distance import DataDistance
from diffplan.data.source.base import Transitions
from diffplan.errors import DataError


def data(num_episodes: int, length: int = 30, noise: float = 0.0) -> Transitions:
    """Circles in two observations, and a third one that never changes."""
    angles = np.arange(num_episodes * length) * 0.2
    observations = np.stack([10 * np.cos(angles), np.sin(angles), np.full(len(angles), 3.0)], axis=1)
    observations += noise * np.random.default_rng(0).normal(size=observations.shape)
    rows = len(angles)
    return Transitions(
        observations.astype(np.float32), np.zeros((rows, 1), np.float32), np.zeros(rows, np.float32),
        np.arange(1, num_episodes + 1) * length, np.zeros(num_episodes, dtype=bool),
    )  # fmt: skip


def test_a_window_of_the_data_is_at_distance_nought_and_a_shift_is_counted_in_standard_deviations():
    circles = data(1)
    distance = DataDistance.of(circles, horizon=4)
    window = circles.observations[5:9].astype(np.float64)
    shift = np.array([0.0, 0.0, 2.0])
    found = distance.of_plans(np.stack([window, window + shift]))
    np.testing.assert_allclose(found, [0.0, 2.0 / np.sqrt(3)], atol=1e-6)


def test_distances_do_not_depend_on_the_units_of_an_observation():
    circles = data(20, noise=0.1)
    factors = np.array([100.0, 0.01, 7.0], dtype=np.float32)
    scaled = Transitions(
        circles.observations * factors, circles.actions, circles.rewards, circles.ends, circles.terminated
    )
    one, other = DataDistance.of(circles, 4, 2), DataDistance.of(scaled, 4, 2)
    assert one.of_data == pytest.approx(other.of_data, rel=1e-4)


def test_held_back_windows_are_of_other_episodes_and_as_far_as_the_noise():
    near, far = DataDistance.of(data(20, noise=0.01), 4), DataDistance.of(data(20, noise=0.3), 4)
    assert 0 < near.of_data < far.of_data
    assert DataDistance.of(data(20, noise=0.3), 4).of_data == far.of_data


def test_a_single_episode_has_nothing_to_hold_back():
    assert DataDistance.of(data(1), 4).of_data is None


def test_episodes_shorter_than_a_window_are_refused():
    with pytest.raises(DataError, match="no training window fits"):
        DataDistance.of(data(3, length=3), 4)
