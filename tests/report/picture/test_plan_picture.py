import numpy as np
import pytest
from PIL import Image

from diffplan.env.maze2d.maze_layout import MazeLayout
from diffplan.env.rollout import Rollout
from diffplan.errors import ConfigError
from diffplan.report.picture.plan_picture import draw_plans


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
    draw_plans(MazeLayout.named("umaze"), straight_rollout(1), tmp_path / "plans.png", scores=[110.5])
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
    draw_plans(MazeLayout.named("umaze"), straight_rollout(episodes), tmp_path / "plans.png")
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
    draw_plans(MazeLayout.named("umaze"), rollout, tmp_path / "plans.png")
    picture = pixels(tmp_path / "plans.png")
    assert not near(picture, (214, 69, 65)).any()
    assert near(picture, (34, 38, 46)).sum() > 100


def test_scores_and_episodes_must_be_as_many(tmp_path):
    with pytest.raises(ConfigError, match=r"one score per episode \(2\), got 1"):
        draw_plans(MazeLayout.named("umaze"), straight_rollout(2), tmp_path / "plans.png", scores=[1.0])


def test_at_least_one_panel_must_be_asked_for(tmp_path):
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        draw_plans(MazeLayout.named("umaze"), straight_rollout(2), tmp_path / "plans.png", max_plans=0)
