from dataclasses import replace

import numpy as np
import pytest

from diffplan.env.plan_measures import plan_quality
from diffplan.env.rollout import rollout
from diffplan.method.critic import ReturnTarget
from diffplan.planner.base import AbstractPlanner


class StandStill(AbstractPlanner):
    """Does nothing, and imagines what it is told."""

    value_target = ReturnTarget()

    def __init__(self, action_dim: int) -> None:
        self.action_dim = action_dim

    def reset(self, observations, targets, seeds):
        self.observations = observations

    def act(self, observations, active):
        return np.zeros((len(observations), self.action_dim))

    def plans(self):
        return np.repeat(self.observations[:, None], 4, axis=1)

    def values(self):
        return np.full(len(self.observations), 7.0)


@pytest.fixture(scope="module")
def maze():
    return rollout("maze2d-umaze-v1", StandStill(2), [0, 1], max_steps=10)


def test_a_plan_to_stand_still_is_followed_and_stays_clear_of_walls(maze):
    quality = plan_quality(maze, 2)
    assert quality["through_walls"] == 0
    # Up to 0.1 m/s of starting velocity, for less than a tenth of a second.
    assert quality["tracking_error"] < 0.05


def test_a_path_through_a_wall_is_found_between_its_rows(maze):
    plans = np.array(maze.plans)
    # From one arm of the U to the other, over the wall between them.
    plans[0, 1:, :2], plans[0, :1, :2] = [3.0, 2.0], [1.0, 2.0]
    assert plan_quality(replace(maze, plans=plans), 2)["through_walls"] == 0.5


def test_the_tracking_error_is_a_distance_in_metres(maze):
    plans = np.array(maze.observations[:, :7:2])
    plans[..., 0] += 0.3
    plans[..., 1] -= 0.4
    assert plan_quality(replace(maze, plans=plans), 2)["tracking_error"] == pytest.approx(0.5)


def test_without_a_maze_the_first_step_is_judged_in_standard_deviations():
    hops = rollout("hopper-medium-v2", StandStill(3), [0, 1, 2], max_steps=5)
    plans = np.array(hops.observations[:, :3])
    assert plan_quality(replace(hops, plans=plans), 1) == {"first_step_error": 0.0, "plan_value": 7.0}
    plans[:, 1] += 2 * np.nanstd(hops.observations, axis=(0, 1))
    assert plan_quality(replace(hops, plans=plans), 1)["first_step_error"] == pytest.approx(2.0)


def test_nothing_is_said_of_plans_that_were_not_kept(maze):
    assert plan_quality(replace(maze, plans=None), 1) == {}
