import numpy as np
import pytest
import torch

from diffplan.method.normalizer import AbstractNormalizer

# Other tests bring classes of their own.
CONCRETE = [cls for cls in AbstractNormalizer.__subclasses__() if cls.__module__.startswith("diffplan.")]


@pytest.fixture
def rows():
    """Raw rows of very different units; column 2 is constant, at a value no float holds exactly."""
    rows = (
        np.random.default_rng(0).normal([0.0, 100.0, 0.0, -3e-3], [1.0, 5.0, 0.0, 1e-4], (1003, 4)).astype(np.float32)
    )
    rows[:, 2] = 0.1
    return rows


@pytest.fixture(params=CONCRETE)
def normalizer(request, rows) -> AbstractNormalizer:
    normalizer = request.param(4)
    normalizer.fit(rows)
    return normalizer


def test_data_survive_the_round_trip(normalizer, rows):
    values = torch.from_numpy(rows)
    back = normalizer.unnormalize(normalizer.normalize(values))
    # A few roundings of single precision, relative to each column's largest value.
    assert ((back - values).abs() <= 5e-7 * values.abs().amax(dim=0)).all()


def test_a_constant_column_becomes_zero_and_keeps_its_unit(normalizer, rows):
    values = torch.from_numpy(rows)
    assert (normalizer.normalize(values)[:, 2] == 0.0).all()
    assert normalizer.scale[2] == 1.0
    moved = values.clone()
    moved[:, 2] += 0.5
    assert normalizer.normalize(moved)[:, 2].allclose(torch.tensor(0.5))
    assert torch.isfinite(normalizer.unnormalize(torch.zeros(1, 4))).all()


def test_columns_select_the_statistics_of_a_part_of_a_transition(normalizer, rows):
    values = torch.from_numpy(rows)
    whole = normalizer.normalize(values)
    part = slice(1, 4)
    assert torch.equal(normalizer.normalize(values[:, part], part), whole[:, part])
    assert torch.equal(normalizer.unnormalize(whole[:, part], part), normalizer.unnormalize(whole)[:, part])


def test_any_number_of_leading_axes_will_do(normalizer, rows):
    values = torch.from_numpy(rows[:1000])
    assert torch.equal(
        normalizer.normalize(values.reshape(10, 20, 5, 4)), normalizer.normalize(values).reshape(10, 20, 5, 4)
    )


def test_statistics_travel_in_the_state_dict(normalizer, rows):
    other = type(normalizer)(4)
    other.load_state_dict(normalizer.state_dict())
    values = torch.from_numpy(rows)
    assert torch.equal(other.normalize(values), normalizer.normalize(values))


def test_before_it_is_fitted_it_changes_no_unit():
    for cls in CONCRETE:
        assert torch.equal(cls(2).normalize(torch.tensor([[0.5, -0.25]])), torch.tensor([[0.5, -0.25]]))
