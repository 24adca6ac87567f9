import torch

from diffplan.method.conditioning import StartAndGoal
from diffplan.method.trajectory import TransitionLayout


def test_the_first_and_the_last_row_are_given():
    assert [StartAndGoal().rows(horizon) for horizon in (2, 128)] == [[0, 1], [0, 127]]


def test_the_start_comes_before_the_goal():
    start_and_goal = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    conditions = StartAndGoal().from_observations(start_and_goal, 4, TransitionLayout(1, 2))
    plan = conditions.apply(torch.zeros(1, 4, 3))
    assert plan[0, :, 1:].tolist() == [[1.0, 2.0], [0.0, 0.0], [0.0, 0.0], [3.0, 4.0]]
