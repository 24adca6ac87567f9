import numpy as np
import pytest

from diffplan.env.maze2d.maze_layout import MazeLayout
from diffplan.errors import ConfigError

NAMES = ("umaze", "medium", "large", "open")


@pytest.mark.parametrize(
    ("name", "shape", "num_free", "target"),
    [
        ("umaze", (5, 5), 7, (1, 1)),
        ("medium", (8, 8), 26, (6, 6)),
        ("large", (9, 12), 46, (7, 9)),
        ("open", (5, 7), 15, (2, 3)),
    ],
)
def test_mazes_have_d4rls_size_free_cells_and_target(name, shape, num_free, target):
    layout = MazeLayout.named(name)
    assert layout.walls.shape == shape
    assert len(layout.free_cells) == num_free == int((~layout.walls).sum())
    assert layout.target_cell == target


@pytest.mark.parametrize("name", NAMES)
def test_free_cells_come_row_by_row_with_the_target_last(name):
    layout = MazeLayout.named(name)
    *others, last = layout.free_cells
    assert others == sorted(others)
    assert last == layout.target_cell


@pytest.mark.parametrize("name", NAMES)
def test_every_free_cell_can_reach_the_target_and_the_border_is_closed(name):
    layout = MazeLayout.named(name)
    steps = layout.steps_to(layout.target_cell)
    assert all(steps[cell] >= 0 for cell in layout.free_cells)
    assert (steps[layout.walls] == -1).all()
    assert layout.walls[[0, -1]].all()
    assert layout.walls[:, [0, -1]].all()


def test_the_u_is_six_moves_long():
    steps = MazeLayout.named("umaze").steps_to((1, 1))
    assert steps[3, 1] == 6


def test_a_corridor_is_free_from_six_tenths_below_its_cell_to_two_tenths_above():
    # Row 2 of the U-Maze is one cell wide along x and along y: walls at (2, 2) and (2, 4) beside (2, 3).
    layout = MazeLayout.named("umaze")
    y = np.array([2.4 - 1e-6, 2.4, 2.8, 3.2, 3.2 + 1e-6])
    positions = np.stack([np.full_like(y, 2.0), y], axis=-1)
    assert layout.is_free(positions).tolist() == [False, True, True, True, False]


def test_a_ball_may_pass_a_convex_corner_at_its_radius():
    # Walls (2, 1) and (2, 2) end in a corner at x = 1.3, y = 2.3, free above and to the right.
    layout = MazeLayout.named("umaze")
    corner = np.array([1.3, 2.3])
    diagonal = np.array([-1.0, 1.0]) / np.sqrt(2)
    assert layout.is_free(corner + 0.101 * diagonal)
    assert not layout.is_free(corner + 0.099 * diagonal)


def test_outside_the_maze_nothing_is_free():
    layout = MazeLayout.named("umaze")
    assert not layout.is_free(np.array([[-5.0, 1.0], [1.0, 40.0]])).any()


def test_wall_rectangles_are_unit_boxes_that_fill_the_extent_with_the_free_cells():
    layout = MazeLayout.named("large")
    boxes = np.array(layout.wall_rectangles())
    x_min, x_max, y_min, y_max = layout.extent
    np.testing.assert_allclose(boxes[:, 2:] - boxes[:, :2], 1.0)
    np.testing.assert_allclose([boxes[:, 0].min(), boxes[:, 2].max()], [x_min, x_max])
    np.testing.assert_allclose([boxes[:, 1].min(), boxes[:, 3].max()], [y_min, y_max])
    assert len(boxes) + len(layout.free_cells) == layout.walls.size
    np.testing.assert_allclose(boxes[0], [-0.7, -0.7, 0.3, 0.3])


def test_an_unknown_maze_is_refused_with_the_names_there_are():
    with pytest.raises(ConfigError, match="large, medium, open, umaze; got 'huge'"):
        MazeLayout.named("huge")
