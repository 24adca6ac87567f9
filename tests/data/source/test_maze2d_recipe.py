import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from diffplan.data.source.maze2d_recipe import Maze2DRecipe
from diffplan.env.maze2d.maze_layout import MazeLayout
from diffplan.env.maze2d.point_mass import PointMass
from diffplan.errors import ConfigError

ROWS = 4200


@pytest.fixture(scope="module")
def arrays():
    return Maze2DRecipe("maze2d-umaze-v1", ROWS, seed=1).collect()


def test_the_arrays_are_those_of_a_d4rl_file(arrays):
    shapes = {key: (array.shape[1:], array.dtype.name) for key, array in arrays.items()}
    assert shapes == {
        "observations": ((4,), "float32"),
        "actions": ((2,), "float32"),
        "rewards": ((), "float32"),
        "terminals": ((), "bool"),
        "timeouts": ((), "bool"),
        "infos/goal": ((2,), "float32"),
        "infos/qpos": ((2,), "float32"),
        "infos/qvel": ((2,), "float32"),
    }
    assert {len(array) for array in arrays.values()} == {ROWS}


def test_states_follow_from_each_other_without_a_break(arrays):
    point_mass = PointMass(MazeLayout.named("umaze"))
    states = np.concatenate([arrays["infos/qpos"], arrays["infos/qvel"]], axis=1).astype(float)
    errors = []
    for row in range(1000):
        point_mass.reset(states[row])
        point_mass.step(arrays["actions"][row].astype(float))
        errors.append(np.abs(point_mass.state() - states[row + 1]).max())
    assert np.median(errors) < 3e-7
    assert max(errors) < 1e-4


def test_the_target_changes_exactly_after_the_flagged_rows(arrays):
    changes = np.flatnonzero((np.diff(arrays["infos/goal"], axis=0) != 0).any(axis=1))
    np.testing.assert_array_equal(changes, np.flatnonzero(arrays["timeouts"][:-1]))
    assert len(changes) > 20
    assert not arrays["terminals"].any()


def test_the_row_after_a_new_target_repeats_as_in_d4rls_files(arrays):
    # In the published U-Maze file the 250 flagged rows of the first 20,000 are all followed by a repeated one.
    observations = arrays["observations"]
    repeated = np.flatnonzero((observations[1:] == observations[:-1]).all(axis=1))
    np.testing.assert_array_equal(repeated, np.flatnonzero(arrays["timeouts"][:-1]))
    moved = (observations[:, :2] != arrays["infos/qpos"]).any(axis=1)
    np.testing.assert_array_equal(np.flatnonzero(moved), repeated + 1)


def test_repeated_rows_can_be_left_out():
    arrays = Maze2DRecipe("maze2d-umaze-v1", 1000, seed=1, repeat_row_after_switch=False).collect()
    np.testing.assert_array_equal(arrays["observations"][:, :2], arrays["infos/qpos"])
    np.testing.assert_array_equal(arrays["observations"][:, 2:], arrays["infos/qvel"])
    assert arrays["timeouts"].any()


@pytest.mark.parametrize("name", ["maze2d-umaze-v1", "maze2d-umaze-dense-v1"])
def test_a_row_is_labelled_with_the_reward_of_its_own_observation(name, arrays):
    made = Maze2DRecipe(name, ROWS, seed=1).collect()
    distances = np.linalg.norm(arrays["observations"][:, :2].astype(float) - 1.0, axis=1)
    expected = np.exp(-distances) if "dense" in name else (distances <= 0.5).astype(float)
    np.testing.assert_allclose(made["rewards"], expected, atol=1e-6)
    np.testing.assert_array_equal(made["observations"], arrays["observations"])


def test_a_seed_fixes_every_row_and_another_gives_others(arrays):
    again = Maze2DRecipe("maze2d-umaze-v1", ROWS, seed=1).collect()
    for key, array in arrays.items():
        np.testing.assert_array_equal(array, again[key])
    other = Maze2DRecipe("maze2d-umaze-v1", 50, seed=2).collect()
    assert (other["observations"] != arrays["observations"][:50]).any(axis=1).all()


def test_a_shorter_set_is_the_beginning_of_a_longer_one(arrays):
    # Noise is drawn for blocks of 4,096 rows; both sets end in the second.
    for key, array in Maze2DRecipe("maze2d-umaze-v1", 4100, seed=1).collect().items():
        np.testing.assert_array_equal(array, arrays[key][:4100])


def test_without_noise_the_actions_are_the_controllers():
    quiet = Maze2DRecipe("maze2d-umaze-v1", 1000, noise=0.0).collect()
    noisy = Maze2DRecipe("maze2d-umaze-v1", 1000, noise=0.5).collect()
    roughness = [np.abs(np.diff(made["actions"], axis=0)).mean() for made in (quiet, noisy)]
    assert roughness[0] < roughness[1] / 5
    assert np.abs(noisy["actions"]).max() == 1.0


def test_progress_adds_up_to_the_rows():
    done = []
    Maze2DRecipe("maze2d-open-v1", 4500).collect(done.append)
    assert sum(done) == 4500
    assert len(done) == 2


def test_recipes_that_differ_have_files_that_differ():
    recipes = [
        Maze2DRecipe("maze2d-umaze-v1", 10),
        Maze2DRecipe("maze2d-umaze-dense-v1", 10),
        Maze2DRecipe("maze2d-umaze-v1", 11),
        Maze2DRecipe("maze2d-umaze-v1", 10, seed=1),
        Maze2DRecipe("maze2d-umaze-v1", 10, noise=0.25),
        Maze2DRecipe("maze2d-umaze-v1", 10, repeat_row_after_switch=False),
    ]
    assert len({recipe.file_name for recipe in recipes}) == len(recipes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "hopper-medium-v2"}, "Only Maze2D can be regenerated"),
        ({"name": "maze2d-umaze"}, "maze2d-umaze-v1"),
        ({"num_transitions": 0}, "num_transitions=0"),
        ({"seed": -1}, "seed=-1"),
        ({"noise": float("nan")}, "noise=nan"),
    ],
)
def test_a_recipe_that_cannot_be_played_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Maze2DRecipe(**{"name": "maze2d-umaze-v1", "num_transitions": 10, **arguments})


# Statistics of D4RL's complete files as later work published them with its configs.
# Position mean, observation deviation, action deviation, reward mean.
PUBLISHED = {
    "maze2d-umaze-v1": (
        (1.9327888, 2.3744664),
        (0.89972174, 0.7093159, 2.2128615, 2.468173),
        (0.7043469, 0.7506248),
        0.081254,
    ),
    "maze2d-medium-v1": (
        (3.5092521, 3.4765592),
        (1.3371079, 1.52102, 2.3407657, 2.3693702),
        (0.73977315, 0.7459419),
        0.0236665,
    ),
    "maze2d-large-v1": (
        (3.7296331, 5.3047247),
        (1.8070312, 2.5687592, 2.4368455, 2.6493697),
        (0.72493, 0.7394606),
        0.0089225,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_statistics_are_those_of_the_published_file(name):
    position_mean, observation_std, action_std, reward_mean = PUBLISHED[name]
    # A process of its own has no run-time shape checks, which take seven eighths of the time here.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        arrays = pool.submit(Maze2DRecipe(name, 400_000).collect).result()
    # Rows are correlated along a walk to one target, so the error is taken from blocks of some 50 such walks.
    blocks = 50

    def agrees(values, published):
        means = values.reshape(blocks, -1).mean(axis=1)
        error = means.std() / np.sqrt(blocks)
        assert abs(values.mean() - published) < 5 * error

    for axis in range(2):
        agrees(arrays["observations"][:, axis].astype(float), position_mean[axis])
        agrees(arrays["actions"][:, axis].astype(float) ** 2, action_std[axis] ** 2)
    for axis in range(4):
        centre = position_mean[axis] if axis < 2 else 0.0
        agrees((arrays["observations"][:, axis].astype(float) - centre) ** 2, observation_std[axis] ** 2)
    agrees(arrays["rewards"].astype(float), reward_mean)


@pytest.mark.benchmark
@pytest.mark.parametrize("name", PUBLISHED)
def test_speed(name, capsys):
    # A process of its own, without run-time shape checks.
    program = (
        "import time; from diffplan.data.source.maze2d_recipe import Maze2DRecipe; begin = time.process_time(); "
        f"Maze2DRecipe({name!r}, 100_000).collect(); print(100_000 / (time.process_time() - begin))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    with capsys.disabled():
        print(f"{name}: {float(done.stdout):,.0f} rows per CPU second")
