from pathlib import Path

import numpy as np
import pytest

from diffplan.env.maze2d.maze_layout import MazeLayout
from diffplan.env.maze2d.point_mass import PointMass

GOLDEN = Path(__file__).parents[2] / "golden" / "maze2d_mujoco_2_3_2.npz"
MASS = 4000.0 / 3.0 * np.pi * 0.1**3


@pytest.fixture
def point_mass():
    return PointMass(MazeLayout.named("umaze"))


def test_mass_is_that_of_a_ten_centimetre_ball_of_water(point_mass):
    assert point_mass.model.body("ball").mass[0] == pytest.approx(4.18879, abs=1e-5)
    assert pytest.approx(4.18879, abs=1e-5) == MASS


def test_free_flight_follows_its_closed_form(point_mass):
    # v' = v + dt (100 a - v) / (m + dt): Euler with implicit damping of 1.
    state = np.array([2.0, 2.8, 0.7, -0.2])
    action = np.array([0.3, -0.9])
    point_mass.reset(state)
    for _ in range(5):
        speed = state[2:] + 0.01 * (100 * action - state[2:]) / (MASS + 0.01)
        state = np.concatenate([state[:2] + 0.01 * speed, speed])
        point_mass.step(action)
        np.testing.assert_allclose(point_mass.state(), state, atol=1e-12)


def test_speed_after_a_step_is_bounded_as_in_the_published_data(point_mass):
    point_mass.reset(np.array([2.0, 2.8, 0.0, 50.0]))
    point_mass.step(np.array([0.0, 1.0]))
    assert point_mass.state()[3] == pytest.approx(5.2262554, abs=1e-6)


def test_actions_are_clipped(point_mass):
    start = np.array([2.0, 2.8, 0.0, 0.0])
    point_mass.reset(start)
    point_mass.step(np.array([7.0, -7.0]))
    clipped = point_mass.state()
    point_mass.reset(start)
    point_mass.step(np.array([1.0, -1.0]))
    np.testing.assert_array_equal(clipped, point_mass.state())


def test_an_action_array_is_not_changed(point_mass):
    action = np.array([7.0, -7.0])
    point_mass.step(action)
    assert action.tolist() == [7.0, -7.0]


@pytest.mark.parametrize(
    ("start", "action", "axis", "wall"),
    [
        ([1.0, 1.0, 0, 0], [-1.0, 0.0], 0, 0.4),
        ([1.0, 1.0, 0, 0], [1.0, 0.0], 0, 1.2),
        ([1.0, 1.0, 0, 0], [0.0, -1.0], 1, 0.4),
        ([1.0, 2.8, 0, 0], [0.0, 1.0], 1, 3.2),
    ],
)
def test_a_pushed_ball_rests_at_the_wall_of_d4rls_frame(point_mass, start, action, axis, wall):
    point_mass.reset(np.array(start))
    for _ in range(300):
        point_mass.step(np.array(action))
    # It rests within the contact margin of 2 mm, to either side of touching.
    assert abs(point_mass.state()[axis] - wall) < 0.002
    assert np.abs(point_mass.state()[2:]).max() < 1e-6


def test_contact_begins_two_millimetres_before_the_wall(point_mass):
    for gap, contacts in ((0.0021, 0), (0.0019, 1)):
        point_mass.reset(np.array([1.0, 0.4 + gap, 0.0, 0.0]))
        assert point_mass.data.ncon == contacts


def test_reset_forgets_what_went_before(point_mass):
    start = np.array([1.0, 0.45, 0.0, -3.0])
    actions = np.random.default_rng(0).uniform(-1, 1, (40, 2))

    def play():
        point_mass.reset(start)
        for action in actions:
            point_mass.step(action)
        return point_mass.state()

    np.testing.assert_array_equal(play(), play())


@pytest.mark.parametrize("maze", ["umaze", "medium", "large"])
def test_trajectories_equal_mujoco_2_running_d4rls_model(maze):
    golden = np.load(GOLDEN)
    point_mass = PointMass(MazeLayout.named(maze))
    contacts = 0
    for actions, states in zip(golden[f"{maze}/actions"], golden[f"{maze}/states"], strict=True):
        point_mass.reset(states[0])
        for action, state in zip(actions, states[1:], strict=True):
            point_mass.step(action)
            contacts += point_mass.data.ncon
            # 3e-12 where it was measured; without either correction of the model the error is above 1.
            np.testing.assert_allclose(point_mass.state(), state, atol=1e-5)
    assert contacts > 100


def test_rows_of_d4rls_own_file_follow_from_each_other():
    golden = np.load(GOLDEN)
    observations, actions = golden["d4rl/observations"].astype(float), golden["d4rl/actions"].astype(float)
    point_mass = PointMass(MazeLayout.named("umaze"))
    errors = []
    for state, action, after in zip(observations[:-1], actions[:-1], observations[1:], strict=True):
        point_mass.reset(state)
        point_mass.step(action)
        errors.append(np.abs(point_mass.state() - after).max())
    # The file is float32, so half a unit in the last place of a speed of 5 is 2.4e-7; contacts magnify it.
    assert np.median(errors) < 3e-7
    assert max(errors) < 1e-5
