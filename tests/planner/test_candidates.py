import pytest
import torch
from diffusers import DDPMScheduler

from diffplan.errors import ConfigError, TaskMismatchError
from diffplan.method.guide import ValueGuide
from diffplan.method.sampler.guided_samplers import SampleShiftSampler, UnguidedSampler
from diffplan.planner.candidates import Candidates, PlanDrawer
from tests.planner.test_guided_planner import HORIZON, OBSERVATIONS, critic, model, scheduler

PLANS = torch.arange(12.0).reshape(2, 3, 2, 1)
VALUES = torch.tensor([[1.0, 3.0, 2.0], [5.0, 4.0, 6.0]])


def drawer(**parts) -> PlanDrawer:
    given = {"sampler": SampleShiftSampler(scheduler()), "guide": ValueGuide(critic(), 0.1), **parts}
    return PlanDrawer(model(), horizon=HORIZON, **given)


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_the_best_plan_of_each_environment_is_the_one_of_greatest_value():
    plans, values = Candidates(PLANS, VALUES).best()
    assert torch.equal(plans, torch.stack([PLANS[0, 1], PLANS[1, 2]]))
    assert values.tolist() == [3.0, 6.0]


def test_ranked_plans_fall_in_value():
    ranked = Candidates(PLANS, VALUES).ranked()
    assert ranked.values.tolist() == [[3, 2, 1], [6, 5, 4]]
    assert torch.equal(ranked.trajectories[0], PLANS[0, [1, 2, 0]])
    assert torch.equal(ranked.trajectories[1], PLANS[1, [2, 0, 1]])


def test_without_values_the_order_is_kept_and_the_first_plan_is_best():
    drawn = Candidates(PLANS, None)
    assert drawn.ranked() is drawn
    assert torch.equal(drawn.best()[0], PLANS[:, 0])
    assert drawn.best()[1] is None


def test_every_candidate_begins_at_the_observation_and_is_judged():
    drawn = drawer(num_candidates=4).draw(OBSERVATIONS[:, None], generators(1, 2, 3))
    assert drawn.trajectories.shape == (3, 4, HORIZON, 5)
    assert drawn.values == pytest.approx(drawn.trajectories[:, :, 0, :2].sum(dim=2))
    given = model().normalizer.normalize(torch.tensor(OBSERVATIONS, dtype=torch.float32), slice(2, 5))
    assert torch.equal(drawn.trajectories[:, :, 0, 2:], given[:, None].expand(-1, 4, -1))


def test_a_callback_sees_every_step_and_may_change_the_trajectories():
    seen = []

    def replace_last(step, trajectories):
        seen.append(step)
        return torch.full_like(trajectories, 7.0) if step == 5 else None

    drawn = drawer().draw(OBSERVATIONS[:, None], generators(1, 2, 3), on_step=replace_last)
    assert seen == [0, 1, 2, 3, 4, 5]
    assert (drawn.trajectories == 7.0).all()
    assert drawn.values.flatten().tolist() == [14.0] * 3


def test_parts_that_do_not_fit_are_refused_when_they_are_put_together():
    with pytest.raises(ConfigError, match="unguided_sampler cannot follow ValueGuide"):
        drawer(sampler=UnguidedSampler(scheduler()))
    with pytest.raises(TaskMismatchError, match="trained with 6 diffusion steps"):
        drawer(sampler=SampleShiftSampler(DDPMScheduler(9, prediction_type="sample", timestep_spacing="trailing")))
    with pytest.raises(TaskMismatchError, match="horizon=8, but the critic was trained with horizon=16"):
        drawer(guide=ValueGuide(critic(horizon=16), 0.1))
    with pytest.raises(ConfigError, match="num_candidates must be at least 1"):
        drawer(num_candidates=0)


def test_nothing_is_compared_again_when_plans_are_drawn(monkeypatch):
    built = drawer()
    monkeypatch.setattr(SampleShiftSampler, "check", lambda *_: pytest.fail("compared again"))
    assert torch.isfinite(built.draw(OBSERVATIONS[:, None], generators(1, 2, 3)).values).all()
