import os
import subprocess
import sys

import numpy as np
import pytest

from diffplan.env.locomotion.bodies import HalfCheetah, Hopper
from diffplan.env.render import StatePicture

REPORT = """
from diffplan.env import make_env
from diffplan.errors import RenderingError
env = make_env("hopper-medium-v2", "rgb_array")
env.reset(seed=0)
print(env.step(env.action_space.sample())[1] > 0)
try:
    print(env.render().shape)
except RenderingError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def picture():
    picture = StatePicture(Hopper().model, 3.0, 0.6)
    yield picture
    picture.close()


def upright(place=0.0, rise=0.0):
    """The hopper's positions as it stands, so far along the track and above the ground."""
    return np.array([place, 1.25 + rise, 0.0, 0.0, 0.0, 0.0])


def body_pixels(image):
    """Where the hopper's brown is: neither the grey of the ground nor the blue of the sky."""
    return np.nonzero(image[..., 0].astype(int) - image[..., 2] > 25)


def test_the_whole_body_is_at_the_centre_wherever_it_has_come_to(picture):
    for place in (0.0, 7.3, 300.0, 551.7):
        rows, columns = body_pixels(picture.draw(upright(place)))
        assert 20 < rows.min() < rows.max() < 200
        assert columns.mean() == pytest.approx(128, abs=12)


def test_the_ground_is_below_it_even_where_the_file_s_own_ground_has_ended(picture):
    for place in (0.0, 300.0, 550.3, 0.0):
        nearest = picture.draw(upright(place))[240]
        assert nearest.std() > 40
        assert nearest.max() > 150


def test_the_ground_passes_below_it(picture):
    assert (picture.draw(upright()) != picture.draw(upright(0.3)))[200:].mean() > 0.05


def test_a_jump_is_a_jump_in_the_picture(picture):
    low, high = (body_pixels(picture.draw(upright(rise=rise)))[0] for rise in (0.0, 0.2))
    assert low.mean() - high.mean() > 10


def test_a_state_looks_the_same_whatever_was_drawn_before(picture):
    first = picture.draw(upright())
    picture.draw(upright(40.0, 0.3))
    np.testing.assert_array_equal(picture.draw(upright()), first)


def test_drawing_changes_neither_the_model_nor_the_episode():
    env = HalfCheetah("rgb_array")
    env.reset(seed=0)
    before = env.model.geom_size.copy(), env.data.qpos.copy(), env.data.qvel.copy(), env.data.time
    env.render_observation(np.full(17, 0.5), root_x=9.0)
    after = env.model.geom_size, env.data.qpos, env.data.qvel, env.data.time
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    env.close()


def test_imagined_states_beyond_all_physics_can_be_drawn(picture):
    assert picture.draw(np.array([0.0, -3.0, 40.0, 900.0, -7.0, 1e6])).shape == (256, 256, 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "answer"),
    [({}, "(256, 256, 3)"), ({"MUJOCO_GL": "off"}, "This machine cannot draw MuJoCo scenes with MUJOCO_GL=off")],
)
def test_episodes_are_played_with_and_without_a_way_to_draw(variables, answer):
    environment = {key: value for key, value in os.environ.items() if key not in ("MUJOCO_GL", "PYOPENGL_PLATFORM")}
    result = subprocess.run(
        [sys.executable, "-c", REPORT], env=environment | variables, capture_output=True, text=True, timeout=100
    )
    assert result.returncode == 0, result.stderr
    played, drawn = result.stdout.splitlines()
    assert played == "True"
    assert drawn.startswith(answer)
