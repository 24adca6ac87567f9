import json

import pytest

from diffplan.errors import ResultError
from diffplan.report.table.ablation import Ablation
from tests.report.conftest import VERSIONS, make_episodes, stored

DDIM = {"scheduler._target_": "diffusers.DDIMScheduler"}


def width(dim, *scores, seed=0, **facts):
    ablation = "default" if dim == 32 else f"backbone.dim={dim}"
    protocols = {"single_task": make_episodes(scores or [1.0, 2.0])}
    return stored(seed=seed, settings={"backbone.dim": dim}, ablation=ablation, protocols=protocols, **facts)


def ablation(*results, **options):
    return Ablation.of(results, "single_task", **options)


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
    found = ablation(stored(ablation="a=1"), stored(settings=DDIM, ablation="a=2"),
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


def test_it_becomes_json():
    cells = json.loads(json.dumps(ablation(width(32), width(8)).to_dict()))["cells"]
    assert [cell["values"] for cell in cells] == [[8], [32]]
    assert cells[0]["difference"] == 0.0
    assert cells[0]["decision_gflop"] == 1.0
