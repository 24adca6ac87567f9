import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import diffplan.env  # noqa: F401  registers the environments
from diffplan.env.maze2d.maze2d import Maze2D
from diffplan.env.maze2d.maze_layout import MazeLayout
from diffplan.errors import ActionError, ConfigError


@pytest.fixture
def env():
    return Maze2D("umaze")


@pytest.mark.parametrize("env_id", ["maze2d-umaze-v1", "maze2d-large-dense-v1"])
def test_gymnasiums_own_checker_passes(env_id):
    env = gymnasium.make(env_id, render_mode="rgb_array").unwrapped
    with pytest.warns(UserWarning, match="infinity") as warned:
        check_env(env)
    # D4RL's observations are unbounded, which Gymnasium remarks on for each bound, as it does for its own.
    assert all("Box observation space" in str(warning.message) for warning in warned)


@pytest.mark.parametrize(
    ("distance", "sparse"), [(0.0, 1.0), (0.499, 1.0), (0.5 - 1e-9, 1.0), (0.5 + 1e-9, 0.0), (0.9, 0.0)]
)
def test_sparse_reward_is_one_within_half_a_metre(distance, sparse):
    env = Maze2D("open")
    env.reset(seed=0, options={"start": [2.0, 3.0 - distance, 0.0, 0.0]})
    _, reward, terminated, truncated, info = env.step(np.zeros(2))
    assert reward == sparse
    assert info["success"] is bool(sparse)
    assert not terminated
    assert not truncated


def test_dense_reward_falls_exponentially_with_the_distance_after_the_step():
    env = Maze2D("open", reward="dense")
    env.reset(seed=0)
    observation, reward, *_ = env.step(np.array([1.0, -1.0]))
    assert reward == pytest.approx(np.exp(-np.linalg.norm(observation[:2] - [2.0, 3.0])), abs=1e-12)


def test_episodes_start_near_a_random_free_cell_and_nearly_at_rest():
    env = Maze2D("medium")
    starts = np.array([env.reset(seed=seed)[0] for seed in range(2000)])
    cells = np.round(starts[:, :2])
    offsets = starts[:, :2] - cells
    assert np.abs(offsets).max() <= 0.1
    assert offsets.std() == pytest.approx(0.1 / np.sqrt(3), rel=0.03)
    assert starts[:, 2:].std() == pytest.approx(0.1, rel=0.05)
    drawn, counts = np.unique(cells, axis=0, return_counts=True)
    assert {(int(x), int(y)) for x, y in drawn} == set(env.layout.free_cells)
    # Uniform over 26 cells: a count has the mean 76.9 and the standard deviation 8.6.
    assert np.abs(counts - 2000 / 26).max() < 4.5 * 8.6


@pytest.mark.parametrize(
    ("maze", "target"), [("umaze", (1, 1)), ("medium", (6, 6)), ("large", (7, 9)), ("open", (2, 3))]
)
def test_the_target_is_d4rls_integer_cell(maze, target):
    env = Maze2D(maze)
    _, info = env.reset(seed=3)
    assert tuple(env.target) == tuple(info["target"]) == target


def test_a_random_target_is_near_a_free_cell_and_is_forgotten_by_the_next_plain_reset(env):
    targets = np.array([env.reset(seed=seed, options={"target": "random"})[1]["target"] for seed in range(300)])
    cells = np.round(targets)
    assert np.abs(targets - cells).max() <= 0.1
    assert {(int(x), int(y)) for x, y in cells} == set(env.layout.free_cells)
    env.reset()
    assert tuple(env.target) == (1.0, 1.0)


def test_a_random_target_leaves_the_start_of_a_seed_as_it_is(env):
    plain, _ = env.reset(seed=11)
    random, _ = env.reset(seed=11, options={"target": "random"})
    np.testing.assert_array_equal(plain, random)


def test_a_given_target_and_start_are_used(env):
    observation, info = env.reset(seed=0, options={"target": (3.0, 2.0), "start": [3.0, 2.4, 0.5, 0.0]})
    assert observation.tolist() == [3.0, 2.4, 0.5, 0.0]
    assert info["target"].tolist() == [3.0, 2.0]
    assert info["success"]


def test_a_seed_fixes_the_episode(env):
    def play():
        env.reset(seed=5)
        return np.array([env.step(np.array([0.4, -0.6]))[0] for _ in range(50)])

    np.testing.assert_array_equal(play(), play())


def test_the_ball_never_leaves_the_maze(env):
    layout = MazeLayout.named("umaze")
    generator = np.random.default_rng(0)
    env.reset(seed=0)
    for _ in range(60):
        action = generator.uniform(-1, 1, 2)
        for _ in range(20):
            observation, *_ = env.step(action)
            # Contacts are soft: a step at full speed is five centimetres long and all of it may lie inside the wall.
            assert layout.is_free(observation[:2], radius=0.04)


def test_set_state_moves_the_ball(env):
    env.reset(seed=0)
    env.set_state(np.array([3.0, 1.0]), np.array([0.1, 0.2]))
    assert env.state().tolist() == [3.0, 1.0, 0.1, 0.2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"goal": (1, 1)}, "'target' and 'start'; got goal"),
        ({"target": "nearest"}, "'random', \\(x, y\\) or None; got 'nearest'"),
        ({"target": (1.0, np.nan)}, "'target' must hold 2 finite numbers"),
        ({"start": [1.0, 1.0]}, "'start' must hold 4 finite numbers"),
    ],
)
def test_reset_options_that_do_not_fit_are_refused(env, options, message):
    with pytest.raises(ConfigError, match=message):
        env.reset(seed=0, options=options)


@pytest.mark.parametrize(
    ("arguments", "message"), [({"reward": "big"}, "got 'big'"), ({"render_mode": "human"}, "human")]
)
def test_arguments_that_do_not_exist_are_refused(arguments, message):
    # Past the annotations, as from a config file.
    unchecked = getattr(Maze2D.__init__, "__wrapped__", Maze2D.__init__)
    with pytest.raises(ConfigError, match=message):
        unchecked(Maze2D.__new__(Maze2D), **arguments)


def test_an_action_that_is_not_finite_is_refused(env):
    env.reset(seed=0)
    with pytest.raises(ActionError, match="finite"):
        env.step(np.array([np.nan, 0.0]))


def test_rendering_shows_the_trail_and_needs_no_display(monkeypatch):
    for variable in ("DISPLAY", "MUJOCO_GL", "PYOPENGL_PLATFORM"):
        monkeypatch.delenv(variable, raising=False)
    env = Maze2D("large", render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    for _ in range(30):
        env.step(np.array([0.5, 0.5]))
    last = env.render()
    assert first.dtype == np.uint8
    assert first.shape == last.shape == (192, 256, 3)
    assert (first != last).any()


def test_an_environment_without_a_render_mode_draws_nothing(env):
    env.reset(seed=0)
    assert env.render() is None
