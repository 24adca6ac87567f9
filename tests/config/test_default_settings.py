import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from diffplan.config.default_settings import default_settings
from diffplan.config.paths import CONF_DIR
from diffplan.config.resolvers import register_resolvers
from diffplan.config.settings import comparable_settings
from tests.task_facts import TASKS


def test_the_default_settings_of_a_task_are_the_paper_s():
    settings = default_settings("hopper-medium-v2")
    assert settings["window.horizon"] == 32
    assert settings["scheduler.num_train_timesteps"] == 20
    assert settings["guide.scale"] == 0.1
    assert settings["step"] == settings["trainer.max_steps"] == 1_000_000


@pytest.mark.parametrize("task", ["no-such-task", "../train"])
def test_a_task_that_is_not_there_has_none(task):
    assert default_settings(task) == {}


def composed(task):
    register_resolvers()
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = compose("train", [f"task={task}"])
    groups = {key: config[key] for key in config if OmegaConf.is_config(config[key])}
    apart = ("paths", "callbacks", "logger", "hydra", "tags")
    plain = {key: OmegaConf.to_container(group, resolve=True) for key, group in groups.items() if key not in apart}
    return comparable_settings(plain | {"prediction_type": config.prediction_type})


@pytest.mark.parametrize(
    "task", ["maze2d-large-v1", "maze2d-umaze-dense-v1", "walker2d-medium-v2", "halfcheetah-medium-expert-v2"]
)
def test_they_are_what_the_command_composes(task):
    for before in ("maze2d-umaze-v1", "hopper-medium-v2"):
        default_settings(before)
    expected = composed(task)
    assert default_settings(task) == expected | {"step": expected["trainer.max_steps"]}


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_they_are_what_the_command_composes_for_every_task(task):
    expected = composed(task)
    assert default_settings(task) == expected | {"step": expected["trainer.max_steps"]}
