import pytest

from diffplan.errors import ResultError
from diffplan.report.comparability import ASPECTS, check_comparable, describe_changes
from tests.report.conftest import VERSIONS, make_episodes, stored

OTHERS = {
    "data": {"data": {"name": "maze2d-umaze-v1", "kind": "regenerated", "sha256": "bb", "num_transitions": 9}},
    "environment": {"environment": {"env_id": "maze2d-umaze-v1", "mujoco": "3.9.0"}},
    "versions": {"versions": VERSIONS | {"torch": "2.12.0"}},
    "settings": {"settings": {"backbone.dim": 16}},
    "episodes": {"protocols": {"single_task": make_episodes([1.0, 2.0])}},
}


def test_results_that_differ_in_their_seed_alone_are_comparable(two_seeds):
    assert check_comparable(two_seeds, "single_task") == []


@pytest.mark.parametrize("aspect", ASPECTS)
def test_what_must_agree_is_named_with_the_runs(two_seeds, aspect):
    other = stored(seed=2, **OTHERS[aspect])
    with pytest.raises(ResultError, match=f"differ in {aspect}") as error:
        check_comparable([*two_seeds, other], "single_task")
    assert two_seeds[0].source in str(error.value)
    assert other.source in str(error.value)
    assert f"--allow {aspect}" in str(error.value)


@pytest.mark.parametrize("aspect", ASPECTS)
def test_what_is_allowed_to_differ_is_told(two_seeds, aspect):
    assert check_comparable([*two_seeds, stored(seed=2, **OTHERS[aspect])], "single_task", [aspect]) == [aspect]


def test_allowing_one_thing_allows_no_other(two_seeds):
    with pytest.raises(ResultError, match="differ in data"):
        check_comparable([*two_seeds, stored(seed=2, **OTHERS["data"])], "single_task", ["versions"])


def test_other_data_may_have_another_source():
    changes = {"settings": {"source._target_": "diffplan.data.source.maze2d_source.Maze2DSource"}, **OTHERS["data"]}
    assert check_comparable([stored(), stored(seed=1, **changes)], "single_task", ["data"]) == ["data"]


def test_only_the_first_changes_are_named():
    one, two = ({str(key): value for key in range(9)} for value in (1, 2))
    assert describe_changes(one, two) == "0 1 / 2, 1 1 / 2, 2 1 / 2, 6 more"
    assert describe_changes({"a": None}, {}) == "a none / none"
    assert describe_changes(one, one) is None
