import numpy as np
import pytest

from diffplan.env.make_env import make_env
from diffplan.env.maze2d.maze_layout import MazeLayout
from diffplan.env.maze2d.waypoint_controller import WaypointController
from diffplan.env.rollout import rollout
from diffplan.env.score import standard_error
from diffplan.errors import ConfigError
from diffplan.planner.base import AbstractPlanner


class ControllerPlanner(AbstractPlanner):
    """One controller per environment, which plans anew in every episode."""

    def __init__(self, env_id):
        self.layout = make_env(env_id).unwrapped.layout

    def reset(self, observations, targets, seeds):
        self.targets = targets
        self.controllers = [WaypointController(self.layout, np.random.default_rng(seed)) for seed in seeds]

    def act(self, observations, active):
        triples = zip(self.controllers, observations, self.targets, strict=True)
        return np.array([controller.act(observation, target)[0] for controller, observation, target in triples])


def controller_in(maze, seed=0):
    return WaypointController(MazeLayout.named(maze), np.random.default_rng(seed))


def test_the_way_through_the_u_visits_every_cell_and_ends_exactly_at_the_target():
    controller = controller_in("umaze")
    controller.act(np.array([3.05, 1.02, 0.0, 0.0]), np.array([1.04, 0.97]))
    cells = [(3, 2), (3, 3), (2, 3), (1, 3), (1, 2), (1, 1)]
    waypoints = controller.waypoints
    assert waypoints[-1].tolist() == [1.0, 1.0]
    offsets = np.array(cells) - waypoints
    assert (offsets >= 0).all()
    assert (offsets <= 0.2).all()
    assert (offsets[:-1] > 0).all()


def test_ties_are_broken_as_d4rl_breaks_them():
    # In the open maze every monotone path is shortest: D4RL goes along -y, then +y, then -x, then +x.
    for target, first in (((3, 1), (1, 2)), ((3, 5), (1, 4))):
        controller = controller_in("open")
        controller.act(np.array([1.0, 3.0, 0.0, 0.0]), np.array(target, dtype=float))
        assert np.ceil(controller.waypoints[0]).tolist() == list(first)
        assert np.ceil(controller.waypoints[1, 0]) == 1.0


def test_the_law_is_ten_times_the_distance_minus_the_speed():
    controller = controller_in("umaze")
    action, reached = controller.act(np.array([1.0, 1.02, 0.3, 0.1]), np.array([1.0, 1.0]))
    np.testing.assert_allclose(action, [-0.3, -0.3])
    assert reached


def test_commands_are_limited():
    action, _ = controller_in("umaze").act(np.array([1.0, 1.0, 0.0, 99.0]), np.array([1.0, 3.0]))
    assert action[1] == -1.0


def test_arriving_takes_being_near_and_not_having_jumped():
    controller = controller_in("umaze")
    target = np.array([1.0, 1.0])
    assert not controller.act(np.array([1.0, 1.15, 0.0, 0.0]), target)[1]
    assert controller.act(np.array([1.0, 1.08, 0.0, 0.0]), target)[1]
    assert not controller.act(np.array([1.0, 0.92, 0.0, 0.0]), target)[1]


def test_a_new_plan_is_made_only_when_the_cell_of_the_target_changes():
    controller = controller_in("umaze")
    observation = np.array([3.0, 1.0, 0.0, 0.0])
    controller.act(observation, np.array([1.0, 1.0]))
    before = controller.waypoints
    controller.act(observation, np.array([1.09, 0.91]))
    np.testing.assert_array_equal(controller.waypoints, before)
    controller.act(observation, np.array([1.0, 2.0]))
    assert len(controller.waypoints) == len(before) - 1


def test_reset_forgets_the_plan():
    controller = controller_in("umaze")
    controller.act(np.array([3.0, 1.0, 0.0, 0.0]), np.array([1.0, 1.0]))
    controller.reset()
    assert controller.waypoints.shape == (0, 2)
    controller.act(np.array([1.0, 2.0, 0.0, 0.0]), np.array([1.0, 1.0]))
    assert len(controller.waypoints) == 1


@pytest.mark.parametrize("maze", ["umaze", "medium", "large", "open"])
def test_a_plan_exists_from_everywhere_the_ball_can_be(maze):
    layout = MazeLayout.named(maze)
    x_min, x_max, y_min, y_max = layout.extent
    positions = np.random.default_rng(0).uniform((x_min, y_min), (x_max, y_max), size=(400, 2))
    positions = positions[layout.is_free(positions)]
    # The far corners of the mazes, which round into a wall that touches walls only.
    positions = np.concatenate([positions, [[0.41, 0.41]]])
    assert len(positions) > 30
    target = np.array(layout.target_cell, dtype=float)
    for position in positions:
        controller = controller_in(maze)
        controller.act(np.array([*position, 0.0, 0.0]), target)
        assert controller.waypoints[-1].tolist() == target.tolist()


def test_a_target_in_a_wall_is_refused():
    with pytest.raises(ConfigError, match="wall cell \\(2, 1\\)"):
        controller_in("umaze").act(np.array([1.0, 1.0, 0.0, 0.0]), np.array([2.0, 1.0]))


def test_a_generator_fixes_the_waypoints():
    observation, target = np.array([3.0, 1.0, 0.0, 0.0]), np.array([1.0, 1.0])
    first, again, other = (controller_in("umaze", seed) for seed in (1, 1, 2))
    for controller in (first, again, other):
        controller.act(observation, target)
    np.testing.assert_array_equal(first.waypoints, again.waypoints)
    assert (first.waypoints[:-1] != other.waypoints[:-1]).all()


# Measured over 500 episodes with D4RL's own controller, planning anew in each: mean return and its standard error.
@pytest.mark.parametrize(
    ("env_id", "episodes", "mean", "error"),
    [
        ("maze2d-umaze-v1", 8, 225.2, 2.5),
        pytest.param("maze2d-umaze-v1", 300, 225.2, 2.5, marks=pytest.mark.slow),
        pytest.param("maze2d-medium-v1", 100, 422.0, 3.8, marks=pytest.mark.slow),
        pytest.param("maze2d-large-v1", 100, 542.2, 5.2, marks=pytest.mark.slow),
    ],
)
def test_the_controller_scores_what_d4rls_scores_when_it_plans_in_every_episode(env_id, episodes, mean, error):
    played = rollout(env_id, ControllerPlanner(env_id), range(episodes))
    assert played.successes.all()
    assert abs(played.returns.mean() - mean) < 4 * np.hypot(standard_error(played.returns), error)
