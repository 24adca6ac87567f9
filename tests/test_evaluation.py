import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffplan.env import Rollout
from diffplan.evaluation import Evaluation, evaluate
from diffplan.logger.csv_logger import CsvLogger


class StraightPlanner:
    """Pushes towards the target, walls or not."""

    def reset(self, observations, targets, seeds):
        self.start, self.targets = observations, targets

    def act(self, observations, active):
        return self.targets - observations[:, :2] - 0.2 * observations[:, 2:]

    def plans(self):
        share = np.linspace(0.0, 1.0, 5)[None, :, None]
        positions = self.start[:, None, :2] * (1 - share) + self.targets[:, None] * share
        return np.concatenate([positions, np.zeros_like(positions)], axis=2)


def make_rollout(**changes) -> Rollout:
    """Two episodes of four steps: one at the goal in steps 2 and 4, one never."""
    rewards = np.array([[0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    fields = {
        "env_id": "maze2d-umaze-v1",
        "protocol": "multi2d",
        "seeds": (7, 8),
        "starts": np.array([[1.0, 1.5, 0.0, 0.0], [3.0, 2.0, 0.0, 0.0]]),
        "targets": np.array([[3.0, 1.0], [1.0, 1.0]]),
        "observations": np.ones((2, 5, 4)),
        "actions": np.zeros((2, 4, 2)),
        "rewards": rewards,
        "reached": rewards > 0,
        "lengths": np.array([4, 4]),
        "terminated": np.array([False, False]),
        "truncated": np.array([True, True]),
        "plans": np.ones((2, 3, 4)),
        "planning_seconds": 1.6,
        "num_decisions": 4,
    }
    return Rollout(**(fields | changes))


def evaluation(**changes) -> Evaluation:
    """Scored between 0 and 4, so that a return of 2 is 50 and a latched one of 3 is 75."""
    rollout = make_rollout(**changes)
    return Evaluation(rollout, 25.0 * rollout.returns, 25.0 * rollout.latched_returns)


def width(picture: Path) -> int:
    with Image.open(picture) as image:
        return image.size[0]


def test_metrics_are_exact():
    assert evaluation().metrics() == {
        "eval/multi2d/normalized_score_mean": 25.0,
        "eval/multi2d/normalized_score_stderr": pytest.approx(25.0 / math.sqrt(2)),
        "eval/multi2d/latched_score_mean": 37.5,
        "eval/multi2d/latched_score_stderr": pytest.approx(37.5 / math.sqrt(2)),
        "eval/multi2d/return_mean": 1.0,
        "eval/multi2d/success_rate": 0.5,
        "eval/multi2d/num_episodes": 2.0,
        "eval/multi2d/planning_seconds": 1.6,
        "eval/multi2d/decision_seconds": pytest.approx(0.2),
        "eval/multi2d/steps_to_goal_mean": 2.0,
    }


def test_no_success_has_no_mean_time_to_the_goal():
    metrics = evaluation(rewards=np.zeros((2, 4)), reached=np.zeros((2, 4), dtype=bool)).metrics()
    assert "eval/multi2d/steps_to_goal_mean" not in metrics
    assert all(math.isfinite(value) for value in metrics.values())


def test_an_evaluation_that_was_stopped_before_its_first_step_still_has_metrics():
    nothing = {"rewards": np.zeros((2, 4)), "reached": np.zeros((2, 4), dtype=bool), "lengths": np.array([0, 0])}
    metrics = evaluation(**nothing, planning_seconds=0.5, num_decisions=0).metrics()
    assert all(math.isfinite(value) for value in metrics.values())


def test_the_table_has_one_row_an_episode():
    columns, rows = evaluation().table()
    first, second = (dict(zip(columns, row, strict=True)) for row in rows)
    assert first == {
        "seed": 7, "start_x": 1.0, "start_y": 1.5, "goal_x": 3.0, "goal_y": 1.0, "return": 2.0, "latched_return": 3.0,
        "length": 4, "steps_to_goal": 2, "score": 50.0, "latched_score": 75.0,
    }  # fmt: skip
    assert (second["seed"], second["steps_to_goal"], second["score"]) == (8, None, 0.0)


def test_a_task_without_a_goal_has_a_table_too():
    columns, rows = evaluation(targets=None).table()
    assert math.isnan(rows[0][list(columns).index("goal_x")])


@pytest.mark.slow
def test_episodes_are_played_scored_drawn_and_given_to_every_logger(tmp_path):
    played = evaluate("maze2d-umaze-v1", StraightPlanner(), [0, 1, 2], "multi2d", 23.85, 161.86, num_videos=1)
    assert played.rollout.seeds == (0, 1, 2)
    assert played.rollout.complete
    np.testing.assert_allclose(played.scores, 100 * (played.rollout.returns - 23.85) / (161.86 - 23.85))
    assert (played.latched_scores >= played.scores).all()

    loggers = [CsvLogger(str(tmp_path / name)) for name in ("first", "second")]
    played.log(loggers, tmp_path / "media", 40)
    for logger in loggers:
        logger.finalize("success")
    picture = tmp_path / "media" / "multi2d-plans-step40.png"
    assert width(picture) > 100
    assert (tmp_path / "media" / "multi2d-video-step40.mp4").stat().st_size > 1000
    written = [sorted(p.relative_to(tmp_path / n) for p in (tmp_path / n).rglob("*")) for n in ("first", "second")]
    assert written[0] == written[1] != []
    assert any(path.suffix == ".png" for path in written[0])
    assert any(path.suffix == ".mp4" for path in written[0])


def test_without_videos_only_the_plans_are_drawn(tmp_path):
    files = evaluation().draw(tmp_path, 3)
    assert files == {"eval/multi2d/plans": tmp_path / "multi2d-plans-step3.png"}
    assert width(files["eval/multi2d/plans"]) > 100


def test_a_rollout_that_is_told_to_stop_is_marked_incomplete():
    stopped = evaluate(
        "maze2d-umaze-v1",
        StraightPlanner(),
        [0],
        "single_task",
        23.85,
        161.86,
        should_stop=iter([False, True]).__next__,
    )
    assert not stopped.rollout.complete
    assert stopped.rollout.lengths.tolist() == [1]
    assert stopped.prefix == "eval/single_task"
