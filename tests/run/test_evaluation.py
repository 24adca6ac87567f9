import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffplan.env.rollout import Rollout
from diffplan.env.watched_planner import ImaginedMoment
from diffplan.errors import RenderingError
from diffplan.method.critic import ReturnTarget
from diffplan.planner.base import AbstractPlanner
from diffplan.run.evaluation import Evaluation, evaluate
from diffplan.tracking.csv_logger import CsvLogger
from diffplan.tracking.evaluation_recorder import _frames_per_second, draw_evaluation, log_evaluation


class StraightPlanner(AbstractPlanner):
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
    return Evaluation(rollout, 25.0 * rollout.returns, 25.0 * rollout.latched_returns, 0.0, 4.0)


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


def locomotion(**changes) -> Evaluation:
    """Two hops: one that fell after 3 steps, one that went on for 4; rewards as in the maze."""
    ended = np.array([True, False])
    fields = {
        "env_id": "hopper-medium-v2", "protocol": "single_task", "targets": None, "starts": np.zeros((2, 11)),
        "observations": np.zeros((2, 5, 11)), "actions": np.zeros((2, 4, 3)), "plans": None,
        "rewards": np.array([[1.0, 2.0, 4.0, 0.0], [1.0, 1.0, 1.0, 1.0]]), "reached": np.zeros((2, 4), dtype=bool),
        "lengths": np.array([3, 4]), "terminated": ended, "truncated": ~ended, "planning_seconds": 1.4,
        "planning_cpu_seconds": 2.1,
    }  # fmt: skip
    rollout = make_rollout(**(fields | changes))
    return Evaluation(rollout, 10.0 * rollout.returns, None, 0.0, 10.0)


# Returns are [1, 0, -4] and [1.875, 1.75, 1.5], of which the critic misses each by 2, and 1, which is not counted.
CRITIC = {
    "values": np.array([[3.0, 2.0, -2.0, np.nan], [3.875, 3.75, 3.5, 9.0]]),
    "value_target": ReturnTarget(0.5, -8.0),
    "decision_flops": 2.5e9,
}


def test_without_a_goal_the_metrics_are_about_episodes_critic_and_cost():
    metrics = locomotion(**CRITIC).metrics()
    assert metrics == {
        "eval/single_task/normalized_score_mean": 55.0,
        "eval/single_task/normalized_score_stderr": pytest.approx(15.0 / math.sqrt(2)),
        "eval/single_task/return_mean": 5.5,
        "eval/single_task/num_episodes": 2.0,
        "eval/single_task/planning_seconds": 1.4,
        "eval/single_task/decision_seconds": pytest.approx(0.2),
        "eval/single_task/episode_length_mean": 3.5,
        "eval/single_task/termination_rate": 0.5,
        "eval/single_task/decision_cpu_seconds": pytest.approx(0.3),
        "eval/single_task/decision_gflop": 2.5,
        "eval/single_task/value_correlation": pytest.approx(1.0),
        "eval/single_task/value_bias": pytest.approx(2.0),
    }


def test_without_a_critic_nothing_is_said_of_one():
    assert not [key for key in locomotion().metrics() if "value" in key or "gflop" in key]
    assert locomotion().calibration is None


def test_without_a_goal_the_table_has_none():
    columns, rows = locomotion().table()
    assert dict(zip(columns, rows[0], strict=True)) == {
        "seed": 7, "return": 7.0, "length": 3, "terminated": True, "score": 70.0,
    }  # fmt: skip


def test_with_a_critic_the_table_has_what_it_promised_and_what_came():
    columns, rows = locomotion(**CRITIC).table()
    assert [row[list(columns).index("first_value")] for row in rows] == [3.0, 3.875]
    assert [row[list(columns).index("discounted_return")] for row in rows] == [1.0, 1.875]


@pytest.mark.parametrize("changes", [{}, CRITIC])
def test_every_logger_takes_the_table_of_a_task_without_goal(tmp_path, changes):
    logger = CsvLogger(str(tmp_path / "run"))
    log_evaluation(locomotion(**changes), [logger], tmp_path / "media", 3)
    (path,) = (tmp_path / "run").rglob("*episodes*.csv")
    assert path.read_text().splitlines()[1].startswith("7,7.0,3,True")


class HoppingPlanner(AbstractPlanner):
    """Small fixed torques; imagines that the body stays as it is, and values the plan by its height."""

    value_target = ReturnTarget(0.9, -10.0)

    def reset(self, observations, targets, seeds):
        assert targets is None

    def act(self, observations, active):
        self.observations = observations
        return np.tile([0.1, -0.2, 0.3], (len(observations), 1))

    def plans(self):
        return np.repeat(self.observations[:, None], 9, axis=1)

    def values(self):
        return self.observations[:, 0].copy()


@pytest.mark.slow
def test_locomotion_is_played_scored_drawn_and_logged(tmp_path):
    played = evaluate("hopper-medium-v2", HoppingPlanner(), [0, 1], "single_task", -20.27, 3234.3, num_videos=1)
    assert played.latched_scores is None
    assert played.rollout.terminated.all()
    files = draw_evaluation(played, tmp_path, 9)
    assert [key.rpartition("/")[2] for key in files] == ["calibration", "imagined", "video"]
    assert all(path.stat().st_size > 1000 for path in files.values())
    np.testing.assert_array_equal(played.rollout.values[0, :2], played.rollout.observations[0, :2, 0])


def test_states_that_cannot_be_drawn_cost_only_their_picture(tmp_path, caplog, monkeypatch):
    """The renderer itself is made to fail, as it does on a machine without OpenGL."""

    def fail(*arguments):
        raise RenderingError("no OpenGL here.")

    monkeypatch.setattr("diffplan.env.locomotion.bodies.StatePicture", fail)
    moments = (ImaginedMoment(0, 0, np.zeros((3, 11))),)
    logger = CsvLogger(str(tmp_path / "run"))
    log_evaluation(locomotion(moments=moments, **CRITIC), [logger], tmp_path / "media", 3)
    assert sorted(path.name for path in (tmp_path / "media").iterdir()) == ["single_task-calibration-step3.png"]
    assert [record.message for record in caplog.records] == ["Imagined states are not drawn: no OpenGL here."]
    assert "eval/single_task/return_mean" in (tmp_path / "run" / "metrics.jsonl").read_text()


@pytest.mark.parametrize(
    ("step_seconds", "frame_interval", "num_frames", "rate"),
    [
        (None, 2, 150, 25.0),  # No step length known: as fast as it goes.
        (0.008, 8, 126, 15.625),  # Hopper in real time.
        (0.05, 8, 126, 10.0),  # HalfCheetah in real time would be 2.5 pictures a second.
        (0.001, 1, 150, 25.0),
        (0.008, 4, 12, 6.0),  # A fall of a third of a second, in slow motion.
        (0.008, 4, 2, 4.0),
    ],
)
def test_a_video_runs_in_real_time_where_that_can_be_watched(step_seconds, frame_interval, num_frames, rate):
    assert _frames_per_second(step_seconds, frame_interval, num_frames) == pytest.approx(rate)


@pytest.mark.slow
def test_episodes_are_played_scored_drawn_and_given_to_every_logger(tmp_path):
    played = evaluate("maze2d-umaze-v1", StraightPlanner(), [0, 1, 2], "multi2d", 23.85, 161.86, num_videos=1)
    assert played.rollout.seeds == (0, 1, 2)
    assert played.rollout.complete
    np.testing.assert_allclose(played.scores, 100 * (played.rollout.returns - 23.85) / (161.86 - 23.85))
    assert (played.latched_scores >= played.scores).all()

    loggers = [CsvLogger(str(tmp_path / name)) for name in ("first", "second")]
    log_evaluation(played, loggers, tmp_path / "media", 40)
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
    files = draw_evaluation(evaluation(), tmp_path, 3)
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
