import pytest

from diffplan.errors import ResultError
from diffplan.report.ablation import Ablation, varied_settings
from tests.report.conftest import VERSIONS, make_episodes, played, stored

DDIM_ALONE = {"scheduler._target_": "diffusers.DDIMScheduler"}


def width(dim, *scores, seed=0, **facts):
    ablation = "default" if dim == 32 else f"backbone.dim={dim}"
    protocols = {"single_task": make_episodes(scores or [1.0, 2.0])}
    return stored(seed=seed, settings={"backbone.dim": dim}, ablation=ablation, protocols=protocols, **facts)


def ablation(*results, **options):
    return Ablation.of(played(*results), **options)


def test_values_are_ordered_by_size_and_the_default_is_the_baseline():
    found = ablation(width(128), width(8), width(32), width(16))
    assert found.settings == ["backbone.dim"]
    assert [cell.values for cell in found.cells] == [(8,), (16,), (32,), (128,)]
    assert found.baseline.values == (32,)


def test_no_value_comes_first_and_words_come_last():
    steps = ["null-like", 20, None, 3.5]
    found = ablation(*(stored(settings={"sampler.num_inference_steps": n}, ablation=f"n={n}") for n in steps))
    assert [cell.values[0] for cell in found.cells] == [None, 3.5, 20, "null-like"]


def test_differences_are_of_pairs_with_the_same_training_and_episode_seed():
    baseline = [width(32, 0.0, 100.0, seed=0), width(32, 50.0, 150.0, seed=1)]
    others = [width(8, 1.0, 101.0, 999.0, seed=0), width(8, 53.0, 153.0, 999.0, seed=1)]
    cell = ablation(*baseline, *others).cells[0]
    assert (cell.values, cell.difference.mean, cell.difference.num_episodes) == ((8,), 2.0, 4)
    assert cell.difference.mean_interval == (1.0, 3.0)
    assert cell.improvement.probability == pytest.approx(0.75)


def test_without_a_common_training_seed_nothing_is_paired_but_probabilities_remain():
    cell = ablation(width(32, 1.0, 2.0, seed=0), width(8, 3.0, 4.0, seed=1)).cells[0]
    assert cell.difference is None
    assert cell.improvement.probability == 1.0


def test_without_a_common_episode_there_is_no_probability():
    elsewhere = stored(
        settings={"backbone.dim": 8}, ablation="a=1", protocols={"single_task": make_episodes([1.0], first_seed=50)}
    )
    cell = ablation(width(32, 1.0), elsewhere).cells[0]
    assert (cell.difference, cell.improvement) == (None, None)


def test_the_baseline_can_be_named_and_a_wrong_name_is_answered():
    assert ablation(width(8), width(16), baseline="16").baseline.values == (16,)
    with pytest.raises(ResultError, match="no value '17' to compare with; there are 8 / 16"):
        ablation(width(8), width(16), baseline="17")


def test_the_baseline_is_the_task_s_default_where_everything_was_typed():
    assert ablation(width(8), width(16)).baseline is None
    assert ablation(width(8), width(16), defaults={"backbone.dim": 16}).baseline.values == (16,)
    found = ablation(stored(ablation="a=1"), stored(settings=DDIM_ALONE, ablation="a=2"),
                     defaults={"scheduler._target_": "diffusers.DDIMScheduler"})  # fmt: skip
    assert found.baseline.values == ("DDIMScheduler",)


def test_a_setting_that_the_task_does_not_have_has_no_default():
    results = [stored(settings={"guide.scale": scale}, ablation=f"a={scale}") for scale in (None, 1)]
    assert ablation(*results, defaults={"backbone.dim": 32}).baseline is None


def test_what_all_share_does_not_hide_the_baseline():
    one = stored(settings={"backbone.dim": 8}, ablation="backbone.dim=8")
    two = stored(settings={"backbone.dim": 8, "guide.scale": 1}, ablation="backbone.dim=8,guide.scale=1")
    assert ablation(one, two).baseline.values == (None,)


def test_two_settings_make_a_grid():
    results = [
        stored(settings={"backbone.dim": dim, "window.horizon": horizon}, ablation=f"{dim},{horizon}")
        for dim in (8, 16)
        for horizon in (4, 8)
    ]
    found = ablation(*results, baseline="4,8")
    assert found.settings == ["window.horizon", "backbone.dim"]
    assert [cell.values for cell in found.cells] == [(4, 8), (4, 16), (8, 8), (8, 16)]
    assert found.baseline.values == (4, 8)


def test_nothing_and_three_settings_are_refused_by_name():
    with pytest.raises(ResultError, match="no setting varies among the 2 results of maze2d-umaze-v1"):
        ablation(stored(), stored(seed=1))
    changes = [{"backbone.x": 1}, {"guide.x": 1}, {"planner.x": 1}]
    with pytest.raises(ResultError, match=r"vary 3: backbone\.x, guide\.x, planner\.x; choose some"):
        ablation(stored(), *(stored(settings=change, ablation=str(change)) for change in changes))


def test_cells_of_other_versions_are_compared_only_if_allowed():
    old = width(8, versions=VERSIONS | {"torch": "1.0"})
    with pytest.raises(ResultError, match="differ in versions"):
        ablation(width(32), old)
    assert ablation(width(32), old, allow=["versions"]).allowed == ["versions"]


def test_the_amount_of_data_can_be_varied():
    more = {"name": "maze2d-umaze-v1", "kind": "d4rl", "sha256": "bb", "num_transitions": 99}
    found = ablation(stored(), stored(settings={"source.num_transitions": 99}, ablation="a=1", data=more))
    assert (found.settings, found.allowed) == (["source.num_transitions"], [])


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


def overview(*results, **options):
    return Ablation.overview(played(*results), **options)


def test_cells_are_numbered_in_the_order_of_their_values_and_average_over_seeds():
    board = overview(width(128, 5.0, 7.0), width(8, 1.0, 3.0), width(8, 3.0, 5.0, seed=1), width(32))
    assert [(cell.number, cell.label) for cell in board.cells] == [
        (1, "backbone.dim=8"), (2, "backbone.dim=32"), (3, "backbone.dim=128"),
    ]  # fmt: skip
    assert board.cells[0].statistics.mean == 3.0
    assert board.cells[0].statistics.num_seeds == 2
    assert [cell.is_baseline for cell in board.cells] == [False, True, False]
    assert board.not_compared == ""


def test_a_cell_that_cannot_be_averaged_is_named_and_hides_no_other():
    other = VERSIONS | {"torch": "2.9.0"}
    board = overview(width(8), width(8, seed=1, versions=other), width(16), width(16, seed=1))
    assert [cell.label for cell in board.cells] == ["backbone.dim=16"]
    ((label, reason),) = board.problems
    assert label == "backbone.dim=8"
    assert "differ in versions" in reason


def test_versions_that_may_differ_are_averaged_and_the_cell_says_so():
    other = VERSIONS | {"torch": "2.9.0"}
    board = overview(width(8), width(8, seed=1, versions=other), width(16), allow=["versions"])
    assert not board.problems
    assert board.cells[0].pool.allowed == ["versions"]


def test_more_than_two_settings_are_shown_without_a_baseline():
    results = [
        stored(settings={"backbone.dim": dim, "window.horizon": horizon, "loss.discount": discount},
               ablation=f"backbone.dim={dim},window.horizon={horizon},loss.discount={discount}",
               protocols=["single_task"])
        for dim in (8, 16) for horizon in (4, 8) for discount in (0.5, 1.0)
    ]  # fmt: skip
    board = overview(*results)
    assert len(board.cells) == 8
    assert board.settings == ["window.horizon", "backbone.dim", "loss.discount"]
    assert board.not_compared == "3 settings vary"
    assert board.baseline is None


def test_runs_of_one_setting_are_one_cell_named_after_the_run():
    board = overview(width(8), width(8, seed=1))
    assert [cell.label for cell in board.cells] == ["diffuser"]
    assert board.settings == []
