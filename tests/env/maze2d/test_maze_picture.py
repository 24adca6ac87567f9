import numpy as np
import pytest

from diffplan.env.maze2d.maze2d import MazePicture
from diffplan.env.maze2d.maze_layout import MazeLayout


@pytest.mark.parametrize("name", ["umaze", "medium", "large", "open"])
def test_pictures_have_sides_a_video_encoder_takes(name):
    frame = MazePicture(MazeLayout.named(name)).draw(np.array([1.0, 1.0]))
    assert frame.dtype == np.uint8
    assert frame.shape[0] % 16 == frame.shape[1] % 16 == 0
    assert max(frame.shape) == 256


def test_the_ball_is_drawn_where_it_is_rows_down_and_columns_right():
    layout = MazeLayout.named("umaze")
    picture = MazePicture(layout)
    changed = (picture.draw(np.array([3.0, 1.0])) != picture.draw(np.array([1.0, 3.0]))).any(axis=-1)
    rows, columns = np.nonzero(changed)
    low_left = rows > 128
    metres_per_pixel = 5 / 256
    assert rows[low_left].mean() * metres_per_pixel - 0.7 == pytest.approx(3.0, abs=0.03)
    assert columns[low_left].mean() * metres_per_pixel - 0.7 == pytest.approx(1.0, abs=0.03)
    assert rows[~low_left].mean() * metres_per_pixel - 0.7 == pytest.approx(1.0, abs=0.03)


def test_a_ball_against_a_wall_touches_it_in_the_picture():
    picture = MazePicture(MazeLayout.named("umaze"))
    frame = picture.draw(np.array([1.0, 0.4])).astype(int)
    row = frame[round((1.0 + 0.7) / 5 * 256)]
    blue = np.flatnonzero((row[:, 2] > 150) & (row[:, 0] < 60))
    wall_edge = (0.3 + 0.7) / 5 * 256
    assert abs(blue.min() - wall_edge) <= 1


def test_target_and_trail_change_the_picture():
    picture = MazePicture(MazeLayout.named("medium"))
    here = np.array([1.0, 1.0])
    plain = picture.draw(here)
    assert (picture.draw(here, target=np.array([6.0, 6.0])) != plain).any()
    assert (picture.draw(here, trail=np.array([[1.0, 1.0], [1.0, 2.0]])) != plain).any()
