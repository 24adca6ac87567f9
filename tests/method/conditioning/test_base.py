import inspect

import pytest
import torch

import diffplan.method.conditioning as folder
from diffplan.method.conditioning import AbstractConditioning, Conditions
from diffplan.method.trajectory import TransitionLayout

LAYOUT = TransitionLayout(action_dim=2, observation_dim=3)
CONCRETE = [
    cls
    for name, cls in inspect.getmembers(folder, inspect.isclass)
    if issubclass(cls, AbstractConditioning) and not name.startswith("Abstract")
]


@pytest.fixture(params=CONCRETE)
def conditioning(request) -> AbstractConditioning:
    return request.param()


def test_known_entries_are_written_and_no_others():
    mask = torch.tensor([[[True, False], [False, True]]])
    conditions = Conditions(mask, torch.full((3, 2, 2), 9.0))
    before = torch.zeros(3, 2, 2)
    after = conditions.apply(before)
    assert after[1].tolist() == [[9.0, 0.0], [0.0, 9.0]]
    assert (before == 0.0).all()


def test_actions_are_never_given(conditioning):
    assert not conditioning.mask(8, LAYOUT)[..., LAYOUT.actions].any()


def test_all_observation_columns_of_exactly_the_rule_s_rows_are_given(conditioning):
    given = conditioning.mask(8, LAYOUT)[0, :, LAYOUT.observations]
    assert given.all(dim=1).nonzero().flatten().tolist() == conditioning.rows(8)
    assert given.any(dim=1).sum() == len(conditioning.rows(8))


def test_a_window_s_own_entries_put_back_leave_it_unchanged(conditioning):
    window = torch.randn(4, 8, 5)
    conditions = Conditions(conditioning.mask(8, LAYOUT), window)
    assert torch.equal(conditions.apply(window), window)
    noisy = conditions.apply(torch.full_like(window, 7.0))
    assert torch.equal(noisy[:, conditioning.rows(8), 2:], window[:, conditioning.rows(8), 2:])


def test_observations_placed_into_a_plan_are_those_of_a_window(conditioning):
    window = torch.randn(4, 8, 5)
    observations = window[:, conditioning.rows(8), 2:]
    placed = conditioning.from_observations(observations, 8, LAYOUT)
    noise = torch.randn(4, 8, 5)
    assert torch.equal(placed.apply(noise), Conditions(conditioning.mask(8, LAYOUT), window).apply(noise))


def test_a_plan_of_observations_alone_is_conditioned_in_every_column(conditioning):
    assert conditioning.mask(8, TransitionLayout(0, 3))[0, conditioning.rows(8)].all()
