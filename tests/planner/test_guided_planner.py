from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from diffplan.errors import ConfigError, HorizonError, TaskMismatchError
from diffplan.method.conditioning import FirstState, StartAndGoal
from diffplan.method.critic import CriticQuality, LevelQuality, ReturnTarget, TrajectoryCritic
from diffplan.method.guide import NoGuide, ValueGuide
from diffplan.method.model import TrajectoryModel
from diffplan.method.network.base import AbstractBackbone
from diffplan.method.network.temporal_unet import TemporalUnet
from diffplan.method.network.value_unet import ValueUnet
from diffplan.method.normalizer import GaussianNormalizer
from diffplan.method.sampler.guided_samplers import MeanShiftSampler, SampleShiftSampler, UnguidedSampler
from diffplan.method.trajectory import TransitionLayout
from diffplan.planner.candidates import PlanDrawer
from diffplan.planner.guided_planner import GuidedPlanner

LAYOUT, HORIZON = TransitionLayout(2, 3), 8
OBSERVATIONS = np.array([[0.1, 0.2, 0.3], [-1.0, 0.5, 2.0], [3.0, -2.0, 0.0]])
ALL = np.ones(3, dtype=bool)


class FirstActionValue(ValueUnet):
    """Values a plan by its first action: the sum of its two entries; no network is asked."""

    def forward(self, trajectories, timesteps):
        return trajectories[:, 0, :2].sum(dim=1)


class Counting(AbstractBackbone):
    """Counts trajectories denoised; predicts half of what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.batch_sizes: list[int] = []

    def check_horizon(self, horizon):
        return None

    def forward(self, trajectories, timesteps):
        self.batch_sizes.append(len(trajectories))
        return 0.5 * trajectories


def scheduler(kind=DDPMScheduler, steps: int = 6):
    return kind(
        steps,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="sample",
        clip_sample=False,
        timestep_spacing="trailing",
    )


def normalizer(layout: TransitionLayout = LAYOUT) -> GaussianNormalizer:
    result = GaussianNormalizer(layout.transition_dim)
    result.fit(np.random.default_rng(0).normal(0.5, 2.0, (50, layout.transition_dim)).astype(np.float32))
    return result


def model(**parts) -> TrajectoryModel:
    torch.manual_seed(0)
    return TrajectoryModel(
        **{
            "backbone": TemporalUnet(LAYOUT.transition_dim, 8, (1, 2)).eval(),
            "normalizer": normalizer(),
            "scheduler": scheduler(),
            "conditioning": FirstState(),
            "layout": LAYOUT,
            "horizon": HORIZON,
            "stride": 1,
            **parts,
        }
    )


def critic(backbone=FirstActionValue, **parts) -> TrajectoryCritic:
    torch.manual_seed(1)
    return TrajectoryCritic(
        **{
            "backbone": backbone(LAYOUT.transition_dim, HORIZON, 8, (1, 8)).eval(),
            "normalizer": normalizer(),
            "scheduler": scheduler(),
            "layout": LAYOUT,
            "horizon": HORIZON,
            "stride": 1,
            "target": ReturnTarget(),
            "offset": torch.tensor(0.0),
            "scale": torch.tensor(1.0),
            **parts,
        }
    )


def planner(guide=None, sampler=None, parts=None, judge=None, **settings) -> GuidedPlanner:
    guide = guide or partial(ValueGuide, scale=0.1, t_stopgrad=1)
    settings = {"num_candidates": 5, "fast_networks": False, **settings}
    return GuidedPlanner(
        model(**(parts or {})), critic() if judge is None else judge, sampler or SampleShiftSampler(scheduler()), guide,
        **settings,
    )  # fmt: skip


def started(**settings) -> GuidedPlanner:
    result = planner(**settings)
    result.reset(OBSERVATIONS, None, [3, 4, 5])
    return result


def planned_actions(**settings) -> np.ndarray:
    """The actions of the plans that a new planner chooses first."""
    guided = planner(**settings)
    drawer = PlanDrawer(guided.model, guided.sampler, guided.guide, HORIZON, settings.get("num_candidates", 5))
    plans, _ = drawer.draw(OBSERVATIONS[:, None], [torch.Generator().manual_seed(seed) for seed in (3, 4, 5)]).best()
    return guided.model.normalizer.unnormalize(plans[:, :, :2], slice(0, 2)).numpy()


def first_action_values(guided: GuidedPlanner, actions: np.ndarray) -> np.ndarray:
    return guided.model.normalizer.normalize(torch.from_numpy(actions), slice(0, 2)).sum(dim=1).numpy()


def test_a_plan_starts_at_the_observation_and_the_action_is_its_first():
    guided = started()
    actions = guided.act(OBSERVATIONS, ALL)
    assert guided.plans().shape == (3, HORIZON, 3)
    assert guided.plans()[:, 0] == pytest.approx(OBSERVATIONS, abs=1e-5)
    assert actions == pytest.approx(planned_actions()[:, 0])


def test_the_candidate_of_greatest_value_is_taken():
    ranked = started(guide=partial(ValueGuide, scale=0.0), num_candidates=32)
    actions = ranked.act(OBSERVATIONS, ALL)
    assert ranked.values() == pytest.approx(first_action_values(ranked, actions), abs=1e-5)
    single = started(guide=partial(ValueGuide, scale=0.0), num_candidates=1)
    single.act(OBSERVATIONS, ALL)
    assert (ranked.values() > single.values()).all()


def measured_critic(rmse: float) -> TrajectoryCritic:
    levels = [LevelQuality(timestep, rmse, 0.5, 0.0, 0.7) for timestep in (None, 0)]
    return critic(quality=CriticQuality(1, 1, 1, tuple(levels)))


@pytest.mark.parametrize("tilt", [0.0, 1.0, 30.0])
def test_the_mean_weighted_by_values_in_units_of_the_critic_s_error_is_executed(tilt):
    guide = partial(ValueGuide, scale=0.0)
    tilted = started(guide=guide, judge=measured_critic(0.5), num_candidates=8, tilt=tilt)
    actions = tilted.act(OBSERVATIONS, ALL)
    drawer = PlanDrawer(tilted.model, tilted.sampler, tilted.guide, HORIZON, 8)
    drawn = drawer.draw(OBSERVATIONS[:, None], [torch.Generator().manual_seed(seed) for seed in (3, 4, 5)])
    weights = torch.exp(tilt * (drawn.values - drawn.values.amax(dim=1, keepdim=True)) / 0.5)
    weights = weights / weights.sum(dim=1, keepdim=True)
    mean = (weights[:, :, None] * drawn.trajectories[:, :, 0, :2]).sum(dim=1)
    assert actions == pytest.approx(tilted.model.normalizer.unnormalize(mean, slice(0, 2)).numpy(), abs=1e-6)
    assert tilted.values() == pytest.approx((weights * drawn.values).sum(dim=1).numpy(), abs=1e-6)
    assert tilted.plans()[:, 0] == pytest.approx(OBSERVATIONS, abs=1e-5)


def test_units_of_reward_do_not_change_a_weighted_mean():
    guide, larger = partial(ValueGuide, scale=0.0), replace(measured_critic(500.0), scale=torch.tensor(1000.0))
    plans = [started(guide=guide, judge=judge, tilt=2.0) for judge in (measured_critic(0.5), larger)]
    first, second = (planned.act(OBSERVATIONS, ALL) for planned in plans)
    assert first == pytest.approx(second, abs=1e-5)


@pytest.mark.parametrize("tilt", [-0.5, float("inf"), float("nan")])
def test_a_tilt_without_meaning_is_refused(tilt):
    with pytest.raises(ConfigError, match=r"planner\.tilt must be at least 0 and finite"):
        planner(tilt=tilt, judge=measured_critic(1.0))


def test_a_tilt_needs_a_critic_that_was_measured_or_none_at_all():
    with pytest.raises(ConfigError, match=r"planner\.tilt=1\.0 needs a critic that was measured on held-out episodes"):
        planner(tilt=1.0)
    assert planner(guide=NoGuide, tilt=1.0).act is not None


def test_guidance_raises_the_value_of_the_plans():
    free, steered = (
        started(guide=partial(ValueGuide, scale=scale, t_stopgrad=1), parts={"backbone": Counting()})
        for scale in (0.0, 2.0)
    )
    free.act(OBSERVATIONS, ALL)
    steered.act(OBSERVATIONS, ALL)
    assert (steered.values() > free.values()).all()


@pytest.mark.parametrize("sampler", [SampleShiftSampler, MeanShiftSampler])
@pytest.mark.parametrize("kind", [DDPMScheduler, DDIMScheduler])
def test_every_sampler_and_scheduler_plans(sampler, kind):
    guided = started(sampler=sampler(scheduler(kind), 3))
    assert np.isfinite(guided.act(OBSERVATIONS, ALL)).all()


def test_an_environment_s_plan_depends_on_its_own_seed_and_observation_alone():
    together = started()
    actions = together.act(OBSERVATIONS, ALL)
    for env, seed in enumerate((3, 4, 5)):
        alone = planner()
        alone.reset(OBSERVATIONS[env : env + 1], None, [seed])
        assert alone.act(OBSERVATIONS[env : env + 1], ALL[:1])[0] == pytest.approx(actions[env], abs=1e-5)


def test_fast_networks_make_the_same_plans():
    plain, fast = (started(judge=critic(ValueUnet), fast_networks=choice) for choice in (False, True))
    assert fast.act(OBSERVATIONS, ALL) == pytest.approx(plain.act(OBSERVATIONS, ALL), abs=1e-4)
    assert fast.values() == pytest.approx(plain.values(), abs=1e-4)
    assert fast.cost().flops < plain.cost().flops


def test_finished_environments_are_not_planned_for():
    guided = started(parts={"backbone": Counting()})
    guided.act(OBSERVATIONS, ALL)
    before = guided.plans()[1]
    guided.model.backbone.batch_sizes.clear()
    guided.act(OBSERVATIONS + 1.0, np.array([True, False, True]))
    assert set(guided.model.backbone.batch_sizes) == {10}
    assert np.array_equal(guided.plans()[1], before)
    assert guided.plans()[0, 0] == pytest.approx(OBSERVATIONS[0] + 1.0, abs=1e-5)


def test_chunks_that_fit_a_memory_change_no_plan():
    whole, chunked = started(), started(max_batch=5)
    assert chunked.act(OBSERVATIONS, ALL) == pytest.approx(whole.act(OBSERVATIONS, ALL), abs=1e-5)
    counted = started(max_batch=10, parts={"backbone": Counting()})
    counted.act(OBSERVATIONS, ALL)
    assert set(counted.model.backbone.batch_sizes) == {10, 5}


def test_replanning_every_few_steps_follows_the_plan_in_between():
    guided = started(replan_every=3)
    first = guided.act(OBSERVATIONS, ALL)
    plans = guided.plans()
    rows = [guided.act(OBSERVATIONS + step, ALL) for step in (1, 2)]
    assert np.array_equal(guided.plans(), plans)
    expected = planned_actions()
    for row, actions in enumerate([first, *rows]):
        assert actions == pytest.approx(expected[:, row])
    guided.act(OBSERVATIONS + 3, ALL)
    assert guided.plans()[:, 0] == pytest.approx(OBSERVATIONS + 3, abs=1e-5)


def test_a_warm_start_denoises_the_moved_plan_for_fewer_steps():
    guided = started(warm_start_steps=2, parts={"backbone": Counting()})
    guided.act(OBSERVATIONS, ALL)
    assert len(guided.model.backbone.batch_sizes) == 6
    guided.act(OBSERVATIONS, ALL)
    assert len(guided.model.backbone.batch_sizes) == 8
    guided.reset(OBSERVATIONS, None, [3, 4, 5])
    guided.act(OBSERVATIONS, ALL)
    assert len(guided.model.backbone.batch_sizes) == 14


class RecordingSampler(SampleShiftSampler):
    """Remembers the warm starts it was given and the trajectories it drew."""

    def chain(self, model, conditions, generators, guide=None, start=None, initial=None):
        for trajectories in super().chain(model, conditions, generators, guide, start, initial):
            self.start, self.drawn = start, trajectories
            yield trajectories


def test_a_plan_is_moved_on_by_the_steps_taken():
    sampler = RecordingSampler(scheduler())
    guided = started(sampler=sampler, warm_start_steps=2, replan_every=3, num_candidates=1)
    for _ in range(3):
        guided.act(OBSERVATIONS, ALL)
    plans = sampler.drawn
    guided.act(OBSERVATIONS, ALL)
    assert sampler.start.num_steps == 2
    assert torch.equal(sampler.start.trajectories, plans[:, [3, 4, 5, 6, 7, 7, 7, 7]])


def test_without_a_guide_one_candidate_is_drawn_and_nothing_is_valued():
    guided = started(guide=NoGuide, parts={"backbone": Counting()})
    guided.act(OBSERVATIONS, ALL)
    assert set(guided.model.backbone.batch_sizes) == {3}
    assert guided.values() is None
    assert guided.value_target is None


def test_both_rankings_judge_by_the_critic_and_differ_by_one_step():
    plain = {"guide": partial(ValueGuide, scale=0.0), "parts": {"backbone": Counting()}}
    returned, last_input = started(**plain), started(ranking="last_input", **plain)
    actions = [planner.act(OBSERVATIONS, ALL) for planner in (returned, last_input)]
    # The last step of this denoiser halves its input, so the same candidate is best and its value is twice as great.
    assert last_input.values() == pytest.approx(2 * returned.values(), rel=1e-5)
    assert np.array_equal(*actions)
    assert np.array_equal(returned.plans(), last_input.plans())


def test_the_cost_of_a_decision_is_counted():
    guided = started(judge=critic(ValueUnet))
    assert guided.cost() is None
    guided.act(OBSERVATIONS, ALL)
    cost = guided.cost()
    assert cost.flops > 0
    assert cost.plannings == 1
    guided.act(OBSERVATIONS, ALL)
    assert guided.cost().flops == pytest.approx(cost.flops)
    half = started(judge=critic(ValueUnet), replan_every=2)
    for _ in range(4):
        half.act(OBSERVATIONS, ALL)
    assert half.cost().flops == pytest.approx(cost.flops / 2)
    assert half.cost().plannings == 2


def test_fewer_candidates_and_guide_steps_cost_in_proportion():
    def flops(**settings) -> float:
        guided = started(judge=critic(ValueUnet), **settings)
        guided.act(OBSERVATIONS, ALL)
        return guided.cost().flops

    assert flops(num_candidates=10) == pytest.approx(2 * flops(num_candidates=5), rel=1e-3)
    ranked = flops(guide=partial(ValueGuide, scale=0.0))
    once, twice = (flops(guide=partial(ValueGuide, scale=1.0, num_steps=n)) for n in (1, 2))
    assert twice - once == pytest.approx(once - ranked, rel=1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_candidates": 0}, "num_candidates must be at least 1, got 0"),
        ({"replan_every": 0}, "replan_every must lie between 1 and the plan's 8 rows"),
        ({"replan_every": 9}, "replan_every must lie between 1 and the plan's 8 rows"),
        ({"warm_start_steps": 7}, "warm_start_steps must lie between 1 and the sampler's 6"),
        ({"max_batch": 4}, "max_batch=4 must hold the 5 candidates"),
        ({"parts": {"conditioning": StartAndGoal()}}, "conditioned on the first state alone"),
        ({"parts": {"stride": 2}}, "with a stride of 2"),
        ({"sampler": UnguidedSampler(scheduler())}, "unguided_sampler cannot follow ValueGuide"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        planner(**settings)


def test_a_model_without_actions_is_refused():
    layout = TransitionLayout(0, 3)
    parts = {"layout": layout, "normalizer": normalizer(layout), "backbone": TemporalUnet(3, 8, (1, 2))}
    with pytest.raises(ConfigError, match="has 0 action columns"):
        GuidedPlanner(model(**parts), None, SampleShiftSampler(scheduler()), NoGuide)


def test_a_horizon_that_the_critic_cannot_judge_is_refused():
    with pytest.raises(HorizonError, match="plans of 8 rows only, got horizon=16"):
        planner(horizon=16)
    free = planner(guide=NoGuide, horizon=16)
    free.reset(OBSERVATIONS, None, [3, 4, 5])
    free.act(OBSERVATIONS, ALL)
    assert free.plans().shape == (3, 16, 3)


def other_normalizer() -> GaussianNormalizer:
    result = normalizer()
    result.offset[2] += 0.5
    return result


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"horizon": 16}, "the denoiser has horizon=8, but the critic was trained with horizon=16"),
        ({"layout": TransitionLayout(1, 4)}, "action_dim=2, but the critic was trained with action_dim=1"),
        ({"stride": 2}, "stride=1, but the critic was trained with stride=2"),
        ({"scheduler": scheduler(steps=9)}, "the denoiser was trained with 6 diffusion steps, but the critic has"),
        ({"scheduler": DDPMScheduler(6, beta_schedule="linear", prediction_type="sample")}, "another noise schedule"),
        ({"normalizer": other_normalizer()}, "normalisers differ: offset of column 2"),
    ],
)
def test_a_critic_of_other_trajectories_is_refused(parts, message):
    with pytest.raises(TaskMismatchError, match=message):
        planner(judge=critic(**parts))
