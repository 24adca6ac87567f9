import pytest

from diffplan.report.pooled_scores import PooledScores
from diffplan.report.score_marks import score_marks
from tests.report.conftest import VERSIONS, played, stored

DEFAULTS = stored().settings
TASK = "maze2d-umaze-v1"


def marks(*results, metric="score", num_episodes=4, num_seeds=1, allow=()):
    pool = PooledScores.of(played(*(results or [stored()])), metric, allow)
    return score_marks(pool, metric, num_episodes, num_seeds, DEFAULTS)


def data(kind, name=TASK):
    return {"name": name, "kind": kind, "sha256": "bb", "num_transitions": 9}


def test_the_paper_s_experiment_has_no_mark():
    assert marks() == []


@pytest.mark.parametrize("kind", ["regenerated", "collected", "minari", "file"])
def test_data_that_is_not_d4rl_s_is_marked(kind):
    (mark,) = marks(stored(data=data(kind)))
    assert mark.endswith("no D4RL result")


def test_another_of_d4rl_s_data_sets_is_marked():
    assert marks(stored(data=data("d4rl", "maze2d-large-v1"))) == [
        "trained on maze2d-large-v1, which is another data set"
    ]


def test_another_environment_is_marked():
    played = {"env_id": "hopper-exact-v2", "mujoco": "4.0.0"}
    assert marks(stored(environment=played)) == ["played in hopper-exact-v2, which is another environment"]


def test_other_settings_are_named_beside_the_paper_s_the_steps_trained_first():
    changes = {"window.horizon": 16, "datamodule.horizon": 16, "trainer.max_steps": 5}
    assert marks(stored(settings=changes)) == [
        "not the paper's settings: trainer.max_steps 5 (paper: 100), window.horizon 16 (paper: 32)"
    ]
    many = {f"backbone.extra{number}": number for number in range(7)}
    assert marks(stored(settings=many))[0].endswith("backbone.extra3 3 (paper: none), 3 more")


def test_a_class_is_named_without_its_module():
    (mark,) = marks(stored(settings={"scheduler._target_": "diffusers.DDIMScheduler"}))
    assert mark == "not the paper's settings: scheduler DDIMScheduler (paper: DDPMScheduler)"


def test_where_data_comes_from_is_no_setting():
    assert marks(stored(settings={"source._target_": "diffplan.data.source.maze2d_source.Maze2DSource"})) == []


def test_latched_scores_are_marked():
    assert "unlike in the paper" in marks(metric="latched")[0]


def test_fewer_seeds_and_episodes_are_marked():
    assert marks(num_episodes=100, num_seeds=3) == [
        "partial: 1 training seed of 3",
        "partial: 4 episodes of the paper's 100",
    ]


def test_what_was_allowed_to_differ_is_marked():
    other = stored(seed=1, versions=VERSIONS | {"torch": "1.0"})
    assert marks(stored(), other, allow=["versions"]) == ["the averaged results differ in versions"]
