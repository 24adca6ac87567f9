import pytest

from diffplan.report.table.varied_settings import varied_settings

DDPM = {"scheduler._target_": "diffusers.DDPMScheduler", "scheduler.variance_type": "fixed_small"}
DDIM = {"scheduler._target_": "diffusers.DDIMScheduler", "scheduler.set_alpha_to_one": True}
DPM = {"scheduler._target_": "diffusers.DPMSolverMultistepScheduler", "scheduler.solver_order": 2}
TRAINED = {"module.scheduler._target_": "diffusers.DDPMScheduler"}


def found(*experiments, typed=()):
    return [(setting.name, list(setting.values), list(setting.also)) for setting in varied_settings(experiments, typed)]


def test_what_is_the_same_everywhere_is_not_varied():
    assert found({"a": 1, "b": 2}, {"a": 1, "b": 3}) == [("b", [2, 3], [])]
    assert found({"a": 1}, {"a": 1}) == []


def test_a_setting_that_repeats_another_is_not_named():
    experiments = [{"window.horizon": h, "loss.horizon": h, "datamodule.horizon": h} for h in (8, 16, 8)]
    assert found(*experiments) == [("window.horizon", [8, 16, 8], [])]


def test_a_class_brings_its_own_settings():
    experiments = [DDPM, DDIM | TRAINED, DPM | TRAINED]
    values = ["DDPMScheduler", "DDIMScheduler", "DPMSolverMultistepScheduler"]
    assert found(*experiments) == [("scheduler", values, [])]


def test_two_settings_of_a_grid_are_two():
    experiments = [
        {**scheduler, "sampler.num_inference_steps": steps} for scheduler in (DDPM, DDIM) for steps in (2, 5)
    ]
    assert [name for name, *_ in found(*experiments)] == ["scheduler", "sampler.num_inference_steps"]


def test_others_that_change_together_count_as_one_and_are_named():
    fast, slow = {**DDIM, "planner.num_candidates": 8}, {**DDPM, "planner.num_candidates": 64}
    assert found(fast, slow) == [("scheduler", ["DDIMScheduler", "DDPMScheduler"], ["planner.num_candidates"])]
    assert found(fast, slow, typed=["planner.num_candidates"]) == [("planner.num_candidates", [8, 64], ["scheduler"])]


def test_a_setting_that_exists_for_one_class_only_is_the_one_that_varies():
    none = {"guide._target_": "diffplan.method.guide.NoGuide"}
    guided = {"guide._target_": "diffplan.method.guide.ValueGuide", "guide.num_steps": 2}
    experiments = [none, {**guided, "guide.scale": 0.1}, {**guided, "guide.scale": 1.0}]
    assert found(*experiments) == [("guide.scale", [None, 0.1, 1.0], [])]


@pytest.mark.parametrize("width", ["backbone.transition_dim", "loss.action_dim"])
def test_widths_follow_from_what_a_plan_holds(width):
    experiments = [{"window.actions": True, width: 6}, {"window.actions": False, width: 4}]
    assert found(*experiments) == [("window.actions", [True, False], [])]


def test_lists_can_vary():
    assert found({"m": [1, 2]}, {"m": [1, 4]}) == [("m", ["[1, 2]", "[1, 4]"], [])]
