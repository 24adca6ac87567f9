import numpy as np
import pytest

from diffplan.env.maze2d.maze_layout import MazeLayout
from diffplan.errors import ConfigError
from diffplan.report.picture.plan_gallery import plan_gallery

MAZE = MazeLayout.named("umaze")


def plans(count: int = 3, rows: int = 8) -> np.ndarray:
    path = np.linspace([1.0, 1.0, 0.0, 0.0], [1.0, 2.5, 0.0, 0.0], rows)
    aside = np.array([0.02, 0.0, 0.0, 0.0])
    return path + np.arange(count)[:, None, None] * aside


def panels(figure) -> list:
    return [ax for ax in figure.axes if ax.get_title()]


def test_every_title_is_a_panel_with_all_its_plans_and_a_mark_at_both_ends():
    figure = plan_gallery(MAZE, {"few": plans(2), "many": plans(5)})
    few, many = panels(figure)
    assert [ax.get_title() for ax in (few, many)] == ["few", "many"]
    # The maze is a collection too.
    assert (len(few.collections), len(many.collections)) == (3, 6)
    start, goal = few.lines
    assert start.get_xydata().tolist() == [[1.0, 1.0]]
    assert goal.get_xydata().tolist() == [[2.5, 1.0]]


def test_panels_go_into_rows_and_empty_places_stay_empty():
    figure = plan_gallery(MAZE, {str(index): plans() for index in range(5)}, columns=3)
    assert len(figure.axes) == 6
    assert len(panels(figure)) == 5
    assert not figure.axes[5].axison


def test_a_spot_is_marked_in_every_panel_and_in_the_legend():
    figure = plan_gallery(MAZE, {"a": plans(), "b": plans()}, via=(3.0, 1.5))
    assert [ax.lines[-1].get_xydata().tolist() for ax in panels(figure)] == [[[1.5, 3.0]]] * 2
    (legend,) = figure.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["first row", "last row", "start", "goal", "guide's spot"]
    assert plan_gallery(MAZE, {"a": plans()}, legend=False).legends == []


@pytest.mark.parametrize("given", [{}, {"none": plans(0)}])
def test_nothing_to_draw_is_refused(given):
    with pytest.raises(ConfigError, match="needs plans for each of at least one panel"):
        plan_gallery(MAZE, given)
