import numpy as np
import pytest

from diffplan.report.statistics.interquartile_mean import interquartile_mean


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([5.0], 5.0),
        ([1.0, 2.0, 9.0], 4.0),  # a quarter of three is none
        ([0.0, 1.0, 2.0, 99.0], 1.5),
        ([7.0, -50.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 900.0], 4.0),
    ],
)
def test_the_lowest_and_the_highest_quarter_do_not_count(values, expected):
    assert interquartile_mean(np.array(values)) == pytest.approx(expected)


def test_a_value_counts_as_often_as_it_is_drawn():
    values = np.array([4.0, 1.0, 100.0])
    counts = np.array([[3, 1, 0], [1, 1, 6], [0, 0, 1]])
    expected = [float(interquartile_mean(np.repeat(values, row))) for row in counts]
    assert interquartile_mean(values, counts).tolist() == pytest.approx(expected)
    assert expected == [4.0, 100.0, 100.0]
