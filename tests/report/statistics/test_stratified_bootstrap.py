import numpy as np
import pytest

from diffplan.report.statistics.stratified_bootstrap import draw_groups, percentile_interval, resample_counts

SIZES = [3, 2]


def drawn(**options):
    return resample_counts(SIZES, 4000, np.random.default_rng(0), **options)


def test_without_resampling_of_groups_every_group_keeps_its_size():
    counts = drawn(resample_groups=False)
    assert (counts[:, :3].sum(axis=1) == 3).all()
    assert (counts[:, 3:].sum(axis=1) == 2).all()


def test_a_drawn_group_brings_as_many_values_as_it_has():
    sizes = drawn(resample_groups=True).sum(axis=1)
    assert set(sizes) == {4, 5, 6}
    # Two draws of two groups: both the same in half of them, the smaller one in a quarter.
    assert np.mean(sizes == 4) == pytest.approx(0.25, abs=0.03)


def test_every_value_of_a_group_is_drawn_equally_often():
    assert drawn(resample_groups=False).mean(axis=0) == pytest.approx([1.0] * 5, abs=0.05)


def test_a_value_can_be_drawn_again():
    assert drawn(resample_groups=False).max() == 3


def test_groups_are_drawn_with_replacement():
    rows = draw_groups(3, 3000, np.random.default_rng(0), resample_groups=True)
    assert np.mean([len(set(row)) == 3 for row in rows.tolist()]) == pytest.approx(6 / 27, abs=0.03)


def test_an_interval_holds_the_middle_95_percent():
    assert percentile_interval(np.arange(1001.0)) == pytest.approx((25.0, 975.0))
