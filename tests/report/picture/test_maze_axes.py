import numpy as np
from matplotlib.figure import Figure

from diffplan.env.maze2d.maze_layout import MazeLayout
from diffplan.report.picture.maze_axes import draw_goal, draw_maze, draw_path, draw_start, visible_part


def test_a_maze_is_drawn_as_it_is_written_x_down_and_y_to_the_right():
    ax, layout = Figure().subplots(), MazeLayout.named("medium")
    draw_maze(ax, layout)
    x_min, x_max, y_min, y_max = visible_part(layout)
    assert (ax.get_xlim(), ax.get_ylim()) == ((y_min, y_max), (x_max, x_min))
    assert len(ax.collections[0].get_paths()) == layout.walls.sum()


def test_a_path_runs_through_its_rows_and_from_the_first_colour_to_the_last():
    ax = Figure().subplots()
    lines = draw_path(ax, np.array([[1.0, 2.0, 9.0], [1.5, 2.5, 9.0], [2.0, 2.0, 9.0]]))
    assert [segment.tolist() for segment in lines.get_segments()] == [
        [[2.0, 1.0], [2.5, 1.5]],
        [[2.5, 1.5], [2.0, 2.0]],
    ]
    assert lines.get_array().tolist() == [0.0, 1.0]


def test_start_and_goal_are_marked_at_their_places():
    ax = Figure().subplots()
    draw_start(ax, np.array([1.0, 2.0, 0.5]))
    draw_goal(ax, np.array([3.0, 4.0]))
    assert [line.get_xydata().tolist() for line in ax.lines] == [[[2.0, 1.0]], [[4.0, 3.0]]]
