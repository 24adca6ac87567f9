import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from diffplan.env.maze2d.maze_layout import MazeLayout
from diffplan.env.rollout import Rollout
from diffplan.errors import ConfigError
from diffplan.report.picture.maze_picture import (
    denoising_frames,
    draw_mark,
    draw_maze,
    draw_path,
    plan_gallery,
    plans_figure,
    visible_part,
)
from diffplan.report.picture.media_files import gif_bytes, write_figure


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
    draw_mark(ax, "start", np.array([1.0, 2.0, 0.5]))
    draw_mark(ax, "goal", np.array([3.0, 4.0]))
    assert [line.get_xydata().tolist() for line in ax.lines] == [[[2.0, 1.0]], [[4.0, 3.0]]]


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
    assert labels == ["plan, first row", "plan, last row", "start", "goal", "guide's spot"]
    assert plan_gallery(MAZE, {"a": plans()}, legend=False).legends == []


@pytest.mark.parametrize("given", [{}, {"none": plans(0)}])
def test_nothing_to_draw_is_refused(given):
    with pytest.raises(ConfigError, match="needs plans for each of at least one panel"):
        plan_gallery(MAZE, given)


def straight_rollout(episodes, *, with_plans=True, with_targets=True):
    """Episodes in the U-Maze's upper corridor, from (1, 3) to (1, 1), the second half of each NaN."""
    path = np.stack([np.full(21, 1.0), np.linspace(3.0, 1.0, 21), np.zeros(21), np.zeros(21)], axis=1)
    observations = np.full((episodes, 41, 4), np.nan)
    observations[:, :21] = path
    return Rollout(
        env_id="maze2d-umaze-v1",
        protocol="single_task",
        seeds=tuple(range(100, 100 + episodes)),
        starts=observations[:, 0].copy(),
        targets=np.tile([1.0, 1.0], (episodes, 1)) if with_targets else None,
        observations=observations,
        actions=np.zeros((episodes, 40, 2)),
        rewards=np.ones((episodes, 40)),
        reached=np.ones((episodes, 40), dtype=bool),
        lengths=np.full(episodes, 20),
        terminated=np.zeros(episodes, dtype=bool),
        truncated=np.ones(episodes, dtype=bool),
        plans=np.tile(path, (episodes, 1, 1)) if with_plans else None,
        planning_seconds=0.1,
        num_decisions=1,
    )


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def near(picture, colour, tolerance=30):
    return (np.abs(picture - colour) <= tolerance).all(axis=-1)


def test_walls_plan_start_and_goal_are_where_they_belong(tmp_path):
    write_figure(plans_figure(MazeLayout.named("umaze"), straight_rollout(1), scores=[110.5]), tmp_path / "plans.png")
    picture = pixels(tmp_path / "plans.png")
    first_row, last_row = (np.argwhere(near(picture[:260], c)) for c in ((18, 58, 124), (239, 138, 43)))
    goal = np.argwhere(near(picture[:260], (214, 69, 65)))
    # x points down and y to the right, so this plan runs from right to left in the upper half.
    assert goal[:, 1].mean() < last_row[:, 1].mean() < first_row[:, 1].mean()
    assert abs(goal[:, 0].mean() - first_row[:, 0].mean()) < 8
    wall_share = near(picture, (92, 99, 112), 3).mean()
    assert 0.2 < wall_share < 0.7


@pytest.mark.parametrize(("episodes", "panels"), [(1, 1), (5, 5), (20, 12)])
def test_as_many_panels_as_episodes_up_to_the_limit(tmp_path, episodes, panels):
    write_figure(plans_figure(MazeLayout.named("umaze"), straight_rollout(episodes)), tmp_path / "plans.png")
    red = near(pixels(tmp_path / "plans.png"), (214, 69, 65))
    rows, columns = -(-panels // 4), min(panels, 4)
    height, width = red.shape
    # Every panel has a goal in its upper left; the legend lies in the lowest 45 pixels.
    cells = [
        red[int(r * (height - 45) / rows) : int((r + 1) * (height - 45) / rows), c * width // columns :][
            :, : width // columns
        ].any()
        for r in range(rows)
        for c in range(columns)
    ]
    assert sum(cells) == panels


def test_without_plans_and_targets_the_executed_paths_are_drawn(tmp_path):
    rollout = straight_rollout(2, with_plans=False, with_targets=False)
    write_figure(plans_figure(MazeLayout.named("umaze"), rollout), tmp_path / "plans.png")
    picture = pixels(tmp_path / "plans.png")
    assert not near(picture, (214, 69, 65)).any()
    assert near(picture, (34, 38, 46)).sum() > 100


def test_scores_and_episodes_must_be_as_many(tmp_path):
    with pytest.raises(ConfigError, match=r"one score per episode \(2\), got 1"):
        write_figure(plans_figure(MazeLayout.named("umaze"), straight_rollout(2), scores=[1.0]), tmp_path / "plans.png")


def test_at_least_one_panel_must_be_asked_for(tmp_path):
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        write_figure(plans_figure(MazeLayout.named("umaze"), straight_rollout(2), max_plans=0), tmp_path / "plans.png")


MAZE = MazeLayout.named("umaze")
CHAIN = np.random.default_rng(0).uniform(0.8, 1.2, (3, 2, 6, 4))


def test_there_is_a_frame_a_step_and_a_panel_a_chain():
    one = denoising_frames(MAZE, {"sample": CHAIN}, ["1", "2", "3"], dpi=40)
    two = denoising_frames(MAZE, {"sample": CHAIN, "guess": CHAIN}, ["1", "2", "3"], dpi=40)
    assert one.shape == (3, *one.shape[1:3], 3)
    assert two.shape == (3, one.shape[1], 2 * one.shape[2], 3)
    assert (one[0] != one[1]).any()


@pytest.mark.parametrize(("chains", "captions"), [({}, ["a"]), ({"x": CHAIN}, ["a", "b"]), ({"x": CHAIN[:0]}, [])])
def test_chains_and_captions_that_do_not_fit_are_refused(chains, captions):
    with pytest.raises(ConfigError, match="must be of one length"):
        denoising_frames(MAZE, chains, captions)


def test_a_gif_plays_endlessly_at_the_rate_and_holds_its_last_picture():
    frames = np.random.default_rng(0).integers(0, 256, (3, 16, 24, 3), dtype=np.uint8)
    film = Image.open(io.BytesIO(gif_bytes(frames, fps=10, hold_seconds=1.5)))
    durations = []
    for index in range(film.n_frames):
        film.seek(index)
        durations.append(film.info["duration"])
    assert (film.size, durations, film.info["loop"]) == ((24, 16), [100, 100, 1500], 0)


@pytest.mark.parametrize(("count", "fps"), [(0, 10), (2, 0)])
def test_a_gif_without_pictures_or_rate_is_refused(count, fps):
    with pytest.raises(ConfigError, match="needs pictures and a rate above 0"):
        gif_bytes(np.zeros((count, 4, 4, 3), dtype=np.uint8), fps)
