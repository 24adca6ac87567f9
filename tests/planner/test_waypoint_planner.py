import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler

from diffplan.errors import ConfigError, HorizonError
from diffplan.method.conditioning import FirstState, StartAndGoal
from diffplan.method.model import TrajectoryModel
from diffplan.method.network.base import AbstractBackbone
from diffplan.method.network.temporal_unet import TemporalUnet
from diffplan.method.normalizer import LimitsNormalizer
from diffplan.method.sampler.guided_samplers import UnguidedSampler
from diffplan.method.trajectory import TransitionLayout
from diffplan.planner.base import AbstractPlanner
from diffplan.planner.waypoint_planner import WaypointPlanner, state_at

HORIZON = 8
STARTS = np.array([[1.0, 1.0, 0.1, 0.0], [3.0, 2.0, 0.0, -0.2]])
GOALS = np.array([[3.0, 1.5], [1.0, 3.0]])
ACTIVE = np.ones(2, dtype=bool)


def scheduler() -> DDIMScheduler:
    return DDIMScheduler(4, beta_schedule="squaredcos_cap_v2", prediction_type="sample", clip_sample=True)


def model(stride: int = 1, action_dim: int = 2, **parts) -> TrajectoryModel:
    """An untrained network: what it plans has no meaning, but is a plan."""
    torch.manual_seed(0)
    layout = TransitionLayout(action_dim, parts.pop("observation_dim", 4))
    normalizer = LimitsNormalizer(layout.transition_dim)
    corners = np.array([[-1.0] * action_dim + [0.0, 0.0, -5.0, -5.0], [1.0] * action_dim + [4.0, 4.0, 5.0, 5.0]])
    if layout.observation_dim == 4:
        normalizer.fit(corners.astype(np.float32))
    return TrajectoryModel(
        **{
            "backbone": TemporalUnet(layout.transition_dim, 8, (1, 2)).eval(),
            "normalizer": normalizer,
            "scheduler": scheduler(),
            "conditioning": StartAndGoal(),
            "layout": layout,
            "horizon": HORIZON,
            "stride": stride,
            **parts,
        }
    )


def planner(stride: int = 1, **settings) -> WaypointPlanner:
    action_dim = settings.pop("action_dim", 2)
    return WaypointPlanner(model(stride, action_dim), None, UnguidedSampler(scheduler()), **settings)


def started(**settings) -> WaypointPlanner:
    result = planner(**settings)
    result.reset(STARTS, GOALS, [5, 6])
    return result


def states_followed(planner: WaypointPlanner, num_steps: int) -> np.ndarray:
    """The state steered for at each step, from the first row on."""
    seconds = planner.stride / 100.0
    return np.stack([state_at(planner.plans(), step, planner.stride, seconds) for step in range(num_steps)], axis=1)


def test_the_plan_runs_from_the_start_to_rest_at_the_goal():
    plans = started().plans()
    assert plans.shape == (2, HORIZON, 4)
    # Single precision of metres.
    np.testing.assert_allclose(plans[:, 0], STARTS, atol=1e-5)
    np.testing.assert_allclose(plans[:, -1], np.hstack([GOALS, np.zeros((2, 2))]), atol=1e-5)


def test_at_stride_one_the_action_is_the_reference_controller_s():
    controller, observations = started(), np.array([[0.7, 1.2, 0.3, -0.1], [2.0, 2.0, 1.0, 0.0]])
    plans = controller.plans()
    for step in range(1, HORIZON + 3):
        waypoint = plans[:, step] if step < HORIZON - 1 else plans[:, -1] * [1, 1, 0, 0]
        expected = (waypoint[:, :2] - observations[:, :2]) + (waypoint[:, 2:] - observations[:, 2:])
        np.testing.assert_array_equal(controller.act(observations, ACTIVE), expected)


def test_planned_actions_change_nothing_about_how_a_plan_is_followed():
    controller = started(action_dim=0)
    waypoint = controller.plans()[:, 1]
    expected = waypoint[:, :2] - STARTS[:, :2] + waypoint[:, 2:] - STARTS[:, 2:]
    np.testing.assert_array_equal(controller.act(STARTS, ACTIVE), expected)


@pytest.mark.parametrize("stride", [2, 4])
def test_with_a_stride_the_path_passes_through_the_planned_rows(stride):
    controller = started(stride=stride)
    followed = states_followed(controller, (HORIZON - 1) * stride + 1)
    np.testing.assert_array_equal(followed[:, :-stride:stride], controller.plans()[:, :-1])


def test_between_rows_the_path_is_smooth_and_its_velocity_is_that_of_its_positions():
    # A stride of 64 samples each cubic finely enough for differences.
    stride = 64
    controller = started(stride=stride, steps_per_second=100.0)
    followed = states_followed(controller, (HORIZON - 1) * stride + 1)
    positions, velocities = followed[..., :2], followed[..., 2:]
    measured = (positions[:, 2:] - positions[:, :-2]) * 100.0 / 2
    scale = np.abs(velocities).max()
    inside = np.arange(1, positions.shape[1] - 1) % stride != 0
    # Central differences of a cubic err with the square of the step; the second derivative jumps at rows only.
    np.testing.assert_allclose(measured[:, inside], velocities[:, 1:-1][:, inside], atol=2e-3 * scale)
    assert np.abs(np.diff(positions, axis=1)).max() < 2 * scale / 100.0


def test_states_of_a_straight_run_at_constant_speed_are_interpolated_exactly():
    times = np.arange(HORIZON) * 0.04
    rows = np.stack([1 + 2 * times, 3 - times, np.full(HORIZON, 2.0), np.full(HORIZON, -1.0)], axis=1)[None]
    seconds = np.arange(4 * (HORIZON - 1)) / 100.0
    expected = np.stack([1 + 2 * seconds, 3 - seconds, np.full(len(seconds), 2.0), np.full(len(seconds), -1.0)], axis=1)
    followed = np.stack([state_at(rows, step, 4, 0.04)[0] for step in range(len(seconds))])
    np.testing.assert_allclose(followed, expected, atol=1e-12)


def test_the_action_steers_for_the_state_of_the_next_step():
    controller = started(stride=4, steps_per_second=100.0)
    followed = states_followed(controller, 12)
    for step in range(1, 12):
        expected = followed[:, step, :2] - STARTS[:, :2] + followed[:, step, 2:] - STARTS[:, 2:]
        np.testing.assert_allclose(controller.act(STARTS, ACTIVE), expected, atol=1e-12)


@pytest.mark.parametrize("stride", [1, 4])
def test_after_its_last_row_it_holds_the_last_position_at_rest(stride):
    controller = started(stride=stride)
    # Also where the last planned velocity is not zero, as it is at a goal.
    controller.plans()[:, -1, 2:] = 3.0
    for _ in range(HORIZON * stride):
        controller.act(STARTS, ACTIVE)
    at_goal = np.hstack([controller.plans()[:, -1, :2], np.zeros((2, 2))])
    for _ in range(20):
        np.testing.assert_array_equal(controller.act(at_goal, ACTIVE), np.zeros((2, 2)))


def test_equal_seeds_plan_equally_whatever_the_batch():
    together, alone = started().plans(), planner()
    for index, seed in enumerate((5, 6)):
        alone.reset(STARTS[index : index + 1], GOALS[index : index + 1], [seed])
        # Convolutions of one and of two plans may sum in another order.
        np.testing.assert_allclose(alone.plans()[0], together[index], atol=1e-4)
    alone.reset(STARTS[:1], GOALS[:1], [7])
    assert np.abs(alone.plans()[0] - together[0]).max() > 0.01


def test_a_new_episode_begins_its_plan_at_the_first_step():
    controller = started()
    first = controller.act(STARTS, ACTIVE)
    controller.act(STARTS, ACTIVE)
    controller.reset(STARTS, GOALS, [5, 6])
    np.testing.assert_array_equal(controller.act(STARTS, ACTIVE), first)


def test_another_horizon_than_the_model_s_may_be_planned():
    controller = planner(horizon=16)
    controller.reset(STARTS, GOALS, [0, 1])
    assert controller.plans().shape == (2, 16, 4)
    np.testing.assert_allclose(controller.plans()[:, -1, :2], GOALS, atol=1e-5)


def test_a_horizon_that_the_network_cannot_take_is_refused():
    with pytest.raises(HorizonError, match="horizon=9"):
        planner(horizon=9)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"conditioning": FirstState()}, "4 observation columns and FirstState"),
        ({"observation_dim": 11}, "11 observation columns and StartAndGoal"),
    ],
)
def test_a_model_of_something_else_than_mazes_is_refused(parts, message):
    with pytest.raises(ConfigError, match=message):
        WaypointPlanner(model(**parts), None, UnguidedSampler(scheduler()))


def test_a_task_without_a_goal_is_refused():
    with pytest.raises(ConfigError, match="needs a goal"):
        planner().reset(STARTS, None, [0, 1])


def test_it_is_a_planner():
    assert isinstance(planner(), AbstractPlanner)
    assert isinstance(planner().model.backbone, AbstractBackbone)


def test_the_one_plan_of_an_episode_is_spread_over_its_steps():
    controller = planner()
    assert controller.cost() is None
    costs = []
    for num_steps in (1, 4):
        controller.reset(STARTS, GOALS, [5, 6])
        for _ in range(num_steps):
            controller.act(STARTS, ACTIVE)
        costs.append(controller.cost().flops)
    assert costs[0] == pytest.approx(4 * costs[1])
    assert costs[0] > 0
