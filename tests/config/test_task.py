import pytest
from hydra.utils import instantiate

from diffplan.config.task import Task
from diffplan.errors import ConfigError
from tests.task_facts import TASKS, task_facts


def facts(name: str = "maze2d-umaze-v1") -> dict:
    return task_facts(name)


@pytest.mark.parametrize("name", TASKS)
def test_every_yaml_builds_a_task_with_all_its_facts_in_the_constructor_s_order(name):
    config = facts(name)
    task = instantiate(config, _convert_="all")
    assert isinstance(task, Task)
    assert list(config) == ["_target_", *Task.__dataclass_fields__]
    assert task.name == name
    assert hash(task) == hash(instantiate(config, _convert_="all"))


def test_maze_tasks_are_cut_where_the_agent_leaves_the_goal():
    task = instantiate(facts(), _convert_="all")
    assert task.segmentation == "goal_departure"
    assert task.target == (1.0, 1.0)


def test_the_paper_s_scores_are_plain_values_whatever_built_the_task():
    scores = instantiate(facts()).paper_scores
    assert scores == instantiate(facts(), _convert_="all").paper_scores
    assert scores == {"single_task": (113.9, 3.1), "multi2d": (128.9, 1.8)}
    assert type(scores) is dict


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"horizon": 0}, "task.horizon must be at least 1, got 0"),
        ({"reference_max": 1.0}, "must exceed task.reference_min"),
        ({"target": None}, "segmentation=goal_departure needs task.target"),
        ({"target": [1.0, 2.0, 3.0]}, r"task.target must be \(x, y\)"),
    ],
)
def test_facts_that_cannot_be_are_refused(change, message):
    config = facts() | change
    del config["_target_"]
    with pytest.raises(ConfigError, match=message):
        Task(**config)
