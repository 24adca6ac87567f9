import numpy as np
import pytest
import torch

from diffplan.errors import ConfigError
from diffplan.interop.planning_conditions import planning_conditions

# Within what the maze model's normaliser has seen.
START, GOAL = np.array([1.1, 2.1, -2.5, 0.4]), np.array([0.5, 1.9, -3.5, 0.0])


def test_all_candidates_of_an_environment_begin_and_end_alike(make_model):
    model = make_model(maze=True)
    conditions = planning_conditions(model, np.stack([START, GOAL]), np.stack([GOAL, START]), 8, 3)
    assert conditions.values.shape == (6, 8, 6)
    columns = model.layout.observations
    first = model.normalizer.unnormalize(conditions.values[:, 0, columns], columns)
    last = model.normalizer.unnormalize(conditions.values[:, -1, columns], columns)
    wanted = torch.tensor(np.stack([START] * 3 + [GOAL] * 3), dtype=torch.float32)
    torch.testing.assert_close(first, wanted)
    torch.testing.assert_close(last, wanted.flip(0))


def test_a_single_environment_is_a_batch_of_one(make_model):
    model = make_model()
    one, batch = (planning_conditions(model, start, None, 8, 2) for start in (START, START[None]))
    assert torch.equal(one.values, batch.values)


@pytest.mark.parametrize(
    ("maze", "observations", "goals", "message"),
    [
        (False, START, GOAL, "conditioned on FirstState and takes no goals"),
        (True, START, None, "conditioned on StartAndGoal and needs goals"),
        (False, START[:3], None, r"must have shape \(environments, 4\), got \(3,\)"),
    ],
)
def test_what_does_not_fit_is_refused(make_model, maze, observations, goals, message):
    with pytest.raises(ConfigError, match=message):
        planning_conditions(make_model(maze), observations, goals, 8, 2)
