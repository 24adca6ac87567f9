import numpy as np
import pytest

from diffplan.env.make_env import make_env
from diffplan.env.rollout import Episodes
from diffplan.errors import ActionError


@pytest.fixture
def episodes():
    return Episodes([make_env("hopper-medium-v2") for _ in range(2)], [3, 4], "single_task", 50, [])


def test_a_task_without_goal_has_neither_targets_nor_successes(episodes):
    episodes.advance(0, np.zeros((2, 3)))
    assert episodes.targets is None
    assert not episodes.reached.any()
    assert (episodes.rewards[:, 0] > 0).all()


def test_a_fall_ends_an_episode_and_the_others_go_on(episodes):
    step = 0
    while episodes.active.all():
        episodes.advance(step, np.array([[1.0, -1.0, 1.0], [0.0, 0.0, 0.0]]))
        step += 1
    assert episodes.terminated.tolist() == [True, False]
    assert episodes.truncated.tolist() == [False, False]
    assert episodes.lengths.tolist() == [step, step]
    last = episodes.present[0].copy()
    episodes.advance(step, np.full((2, 3), [[np.nan], [0.0]]))
    assert episodes.lengths.tolist() == [step, step + 1]
    np.testing.assert_array_equal(episodes.present[0], last)


def test_actions_are_checked_before_anything_moves(episodes):
    with pytest.raises(ActionError, match="finite"):
        episodes.advance(0, np.array([[0.0, 0.0, 0.0], [np.inf, 0.0, 0.0]]))
    assert episodes.lengths.tolist() == [0, 0]
