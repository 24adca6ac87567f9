import time

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from diffplan.env.rollout import rollout
from diffplan.errors import ActionError, ConfigError, EnvironmentIdError, RenderingError
from diffplan.method.critic import ReturnTarget
from diffplan.planner.base import AbstractPlanner
from diffplan.planner.cost import DecisionCost


class CountdownEnv(gymnasium.Env):
    """Pays 1 a step, terminates with a last reward of 10 after ``seed`` steps, and keeps paying 100 after that."""

    def __init__(self):
        self.observation_space = spaces.Box(-1e6, 1e6, shape=(3,), dtype=np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, shape=(1,), dtype=np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.length, self.step_count = seed, 0
        return self._observation(0.0), {}

    def step(self, action):
        self.step_count += 1
        reward = 100.0 if self.step_count > self.length else 10.0 if self.step_count == self.length else 1.0
        return self._observation(float(action[0])), reward, self.step_count >= self.length, False, {}

    def _observation(self, action):
        return np.array([self.length, self.step_count, action], dtype=np.float32)


class RecordingPlanner(AbstractPlanner):
    """Answers every step with the index of the environment over 100, and remembers what it was asked."""

    def __init__(self, width=1):
        self.width, self.asked = width, []

    def reset(self, observations, targets, seeds):
        self.targets, self.seeds, self.asked = targets, tuple(seeds), []

    def act(self, observations, active):
        self.asked.append((observations, active))
        return self.answer(len(observations), active)

    def answer(self, count, active):
        return np.repeat(np.arange(count)[:, None] / 100.0, self.width, axis=1)

    def plans(self):
        observations, _ = self.asked[-1]
        return np.repeat(observations[:, None], 5, axis=1)


@pytest.fixture(autouse=True)
def countdown():
    gymnasium.register("countdown-v0", entry_point=CountdownEnv, max_episode_steps=6)
    yield "countdown-v0"
    del gymnasium.registry["countdown-v0"]


@pytest.fixture
def planner():
    return RecordingPlanner()


def test_the_terminal_reward_counts_and_nothing_after_it(countdown, planner):
    played = rollout(countdown, planner, [2, 4, 9])
    assert played.returns.tolist() == [11.0, 13.0, 6.0]
    assert played.lengths.tolist() == [2, 4, 6]


def test_termination_and_truncation_are_told_apart(countdown, planner):
    played = rollout(countdown, planner, [2, 6, 9])
    # The second terminates on the very step of its time limit, which is both, as Gymnasium has it.
    assert played.terminated.tolist() == [True, True, False]
    assert played.truncated.tolist() == [False, True, True]
    assert played.complete


def test_a_shorter_limit_truncates(countdown, planner):
    played = rollout(countdown, planner, [2, 3, 9], max_steps=3)
    assert played.lengths.tolist() == [2, 3, 3]
    assert played.terminated.tolist() == [True, True, False]
    assert played.truncated.tolist() == [False, False, True]


def test_arrays_hold_what_happened_and_end_with_the_longest_episode(countdown, planner):
    played = rollout(countdown, planner, [2, 4])
    assert played.observations.shape == (2, 5, 3)
    assert played.observations[1, :, 1].tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(played.observations[1, 1:, 2], 0.01)
    np.testing.assert_array_equal(played.starts, [[2, 0, 0], [4, 0, 0]])
    assert np.isnan(played.observations[0, 3:]).all()
    assert np.isfinite(played.observations[0, :3]).all()
    assert np.isnan(played.actions[0, 2:]).all()
    assert played.rewards[0].tolist() == [1.0, 10.0, 0.0, 0.0]


def test_the_planner_is_asked_once_a_step_for_all_environments(countdown, planner):
    played = rollout(countdown, planner, [2, 4])
    assert [active.tolist() for _, active in planner.asked] == [[True, True]] * 2 + [[False, True]] * 2
    assert played.num_decisions == 4
    # A finished environment shows its last observation.
    assert planner.asked[3][0][:, 1].tolist() == [2, 3]
    assert played.planning_seconds > 0
    assert planner.seeds == played.seeds == (2, 4)
    assert planner.targets is None
    assert played.targets is None


def test_what_the_planner_was_given_is_not_changed_afterwards(countdown, planner):
    rollout(countdown, planner, [5])
    assert [observations[0, 1] for observations, _ in planner.asked] == [0, 1, 2, 3, 4]


def test_the_first_plans_are_kept(countdown, planner):
    played = rollout(countdown, planner, [2, 4])
    assert played.plans.shape == (2, 5, 3)
    assert (played.plans[:, :, 1] == 0).all()


def test_the_loop_stops_when_asked_and_says_so(countdown, planner):
    played = rollout(countdown, planner, [2, 9], should_stop=lambda: len(planner.asked) == 3)
    assert played.lengths.tolist() == [2, 3]
    assert not played.complete
    assert played.truncated.tolist() == [False, False]


def test_a_loop_stopped_at_once_has_no_steps(countdown, planner):
    played = rollout(countdown, planner, [2], should_stop=lambda: True)
    assert played.lengths.tolist() == [0]
    assert played.returns.tolist() == [0.0]
    assert played.plans is None


def test_every_step_of_all_environments_is_reported_once(countdown, planner):
    steps = []
    played = rollout(countdown, planner, [2, 9], on_step=lambda: steps.append(len(steps)))
    assert len(steps) == played.lengths.max()


def test_success_without_a_flag_is_a_reward(planner):
    class TargetEnv(CountdownEnv):
        def reset(self, *, seed=None, options=None):
            observation, info = super().reset(seed=seed)
            return observation, info | {"target": np.zeros(2)}

    gymnasium.register("target-v0", entry_point=TargetEnv, max_episode_steps=6)
    try:
        assert rollout("target-v0", planner, [2, 4]).steps_to_goal.tolist() == [1.0, 1.0]
    finally:
        del gymnasium.registry["target-v0"]


def test_without_a_target_there_is_no_success(countdown, planner):
    played = rollout(countdown, planner, [2, 4])
    assert not played.has_goal
    assert not played.reached.any()


class CriticPlanner(RecordingPlanner):
    """Plans at every second step, values each plan at 10 for each step that it was made at."""

    value_target = ReturnTarget(0.5, -8.0)

    def plans(self):
        return np.repeat(self._planned()[:, None], 5, axis=1)

    def values(self):
        return 10.0 * self._planned()[:, 1]

    def cost(self):
        return DecisionCost(flops=3e9, plannings=len(self.asked))

    def _planned(self):
        return self.asked[(len(self.asked) - 1) // 2 * 2][0]


def test_the_critics_values_are_kept_at_the_steps_that_were_planned(countdown):
    played = rollout(countdown, CriticPlanner(), [3, 5])
    nan = np.nan
    np.testing.assert_array_equal(played.values, [[0, nan, 20, nan, nan], [0, nan, 20, nan, 40]])
    assert played.value_target == ReturnTarget(0.5, -8.0)
    assert played.decision_flops == 3e9


def test_a_planner_without_critic_has_no_values(countdown, planner):
    played = rollout(countdown, planner, [2])
    assert (played.values, played.value_target, played.decision_flops, played.moments) == (None, None, None, ())


def test_processor_time_is_counted_beside_wall_time(countdown):
    class SleepyPlanner(RecordingPlanner):
        def answer(self, count, active):
            time.sleep(0.05)
            return super().answer(count, active)

    played = rollout(countdown, SleepyPlanner(), [2])
    assert played.planning_seconds - played.planning_cpu_seconds > 0.05  # Sleeping costs no processor time.


def test_filmed_episodes_keep_what_was_imagined_at_a_few_decisions(planner):
    planner.width = 2
    played = rollout("maze2d-umaze-v1", planner, [0, 1], render=[1], max_steps=60)
    assert [moment.env for moment in played.moments] == [1] * 4
    assert played.moments[0].step == 0
    for moment in played.moments:
        np.testing.assert_array_equal(moment.plan[0], played.observations[1, moment.step])


def test_an_environment_that_cannot_draw_is_played_without_pictures(planner, caplog):
    class BlindEnv(CountdownEnv):
        metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012 (Gymnasium's own form)
        render_mode = "rgb_array"

        def __init__(self, render_mode=None):
            super().__init__()

        def render(self):
            raise RenderingError("no OpenGL here.")

    gymnasium.register("blind-v0", entry_point=BlindEnv, max_episode_steps=6)
    try:
        played = rollout("blind-v0", planner, [2, 4], render=[0, 1])
    finally:
        del gymnasium.registry["blind-v0"]
    assert played.returns.tolist() == [11.0, 13.0]
    assert (played.frames, played.moments) == ({}, ())
    assert [record.message for record in caplog.records] == ["Episodes are played without pictures: no OpenGL here."]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_actions_that_are_not_finite_stop_the_rollout(countdown, bad):
    class BadPlanner(RecordingPlanner):
        def answer(self, count, active):
            return np.full((count, 1), bad)

    with pytest.raises(ActionError, match="finite actions, got NaN or infinity at step 0"):
        rollout(countdown, BadPlanner(), [2])


def test_a_finished_environment_may_get_any_action(countdown):
    class LatePlanner(RecordingPlanner):
        def answer(self, count, active):
            return np.where(active[:, None], 0.5, np.nan)

    assert rollout(countdown, LatePlanner(), [2, 4]).returns.tolist() == [11.0, 13.0]


def test_actions_of_the_wrong_width_stop_the_rollout(countdown):
    with pytest.raises(ActionError, match=r"actions \(1, 1\), got \(1, 2\)"):
        rollout(countdown, RecordingPlanner(width=2), [2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeds": []}, "needs seeds"),
        ({"render": [1]}, "renders some of them"),
        ({"max_steps": 0}, "at least 1 step; got max_steps=0"),
        ({"protocol": "multi2d"}, "needs an environment with a target"),
    ],
)
def test_what_cannot_be_played_is_refused(countdown, planner, arguments, message):
    with pytest.raises(ConfigError, match=message):
        rollout(countdown, planner, **{"seeds": [3], **arguments})


def test_an_environment_without_a_limit_needs_one(planner):
    gymnasium.register("endless-v0", entry_point=CountdownEnv)
    try:
        with pytest.raises(ConfigError, match="max_steps=None"):
            rollout("endless-v0", planner, [50])
        assert rollout("endless-v0", planner, [50], max_steps=7).lengths.tolist() == [7]
    finally:
        del gymnasium.registry["endless-v0"]


def test_an_unknown_environment_is_refused(planner):
    with pytest.raises(EnvironmentIdError):
        rollout("maze3d-v1", planner, [0])


def test_single_task_episodes_share_d4rls_target_and_multi2d_ones_do_not(planner):
    planner.width = 2
    single = rollout("maze2d-umaze-v1", planner, [0, 1, 2], max_steps=2)
    multi = rollout("maze2d-umaze-v1", planner, [0, 1, 2], max_steps=2, protocol="multi2d")
    assert single.targets.tolist() == [[1.0, 1.0]] * 3
    assert len(np.unique(multi.targets, axis=0)) == 3
    np.testing.assert_array_equal(planner.targets, multi.targets)
    # The seed alone decides the start.
    np.testing.assert_array_equal(single.starts, multi.starts)


def test_a_seed_gives_the_same_episode_whatever_is_played_beside_it():
    class PushingPlanner(RecordingPlanner):
        def answer(self, count, active):
            return np.full((count, 2), -0.7)

    def play(seeds):
        return rollout("maze2d-medium-v1", PushingPlanner(), seeds, protocol="multi2d", max_steps=40)

    alone, among = play([7]), play([3, 7])
    np.testing.assert_array_equal(alone.observations[0], among.observations[1])
    np.testing.assert_array_equal(alone.targets[0], among.targets[1])


@pytest.mark.parametrize("env_id", ["maze2d-umaze-v1", "maze2d-umaze-dense-v1"])
def test_success_is_being_within_half_a_metre_whatever_the_reward(env_id):
    class ThereAndAwayPlanner(RecordingPlanner):
        """From a start at the target away along y."""

        def answer(self, count, active):
            return np.tile([0.0, 1.0], (count, 1))

    at_target = next(seed for seed in range(100) if np.allclose(_start(env_id, seed), 1.0, atol=0.11))
    far = next(seed for seed in range(100) if np.allclose(_start(env_id, seed), [3.0, 1.0], atol=0.11))
    played = rollout(env_id, ThereAndAwayPlanner(), [at_target, far])
    assert played.successes.tolist() == [True, False]
    assert played.steps_to_goal[0] == 1.0
    assert np.isnan(played.steps_to_goal[1])
    inside = np.linalg.norm(played.observations[0, 1:, :2] - 1.0, axis=1) <= 0.5
    np.testing.assert_array_equal(played.reached[0], inside)
    assert inside.sum() < played.latched_returns[0] == 300
    assert played.latched_returns[1] == 0
    if "dense" not in env_id:
        assert played.returns.tolist() == [inside.sum(), 0.0]


def _start(env_id, seed):
    return rollout(env_id, RecordingPlanner(2), [seed], max_steps=1).starts[0, :2]


def test_only_the_asked_environments_are_pictured_and_never_too_often(planner):
    planner.width = 2
    played = rollout("maze2d-umaze-v1", planner, [0, 1], render=[1])
    assert list(played.frames) == [1]
    assert played.frame_interval == 2
    assert played.frames[1].shape == (151, 256, 256, 3)
    assert played.frames[1].dtype == np.uint8
    assert (played.frames[1][0] != played.frames[1][-1]).any()


def test_the_summary_names_the_counts(countdown, planner):
    assert repr(rollout(countdown, planner, [2, 4])) == (
        "Rollout(countdown-v0, single_task, episodes=2, mean_return=12.00, terminated=2, steps=6)"
    )
