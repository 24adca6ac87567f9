import copy

import pytest

from diffplan.run.comparable_settings import comparable_settings, config_hash, experiment_config

CONFIG = {
    "seed": 0,
    "name": "one",
    "num_threads": 1,
    "paths": {"run_dir": "here"},
    "source": {"_target_": "Source", "data_dir": "here", "num_transitions": 10},
    "scheduler": {"_target_": "DDPMScheduler", "num_train_timesteps": 64},
    "backbone": {"dim": 16, "multipliers": [1, 2]},
    "critic": {"discount": 0.99, "path": None},
    "module": {"backbone": {"dim": 16, "multipliers": [1, 2]}, "average": {}, "compile": False, "seed": 0},
    "trainer": {"max_steps": 5, "accelerator": "cpu", "logger": True},
}


def changed(**paths) -> dict:
    config = copy.deepcopy(CONFIG)
    for path, value in paths.items():
        *branches, leaf = path.split("__")
        node = config
        for branch in branches:
            node = node[branch]
        node[leaf] = value
    return config


def test_settings_are_flat_and_say_each_thing_once():
    assert comparable_settings(CONFIG) == {
        "source._target_": "Source",
        "source.num_transitions": 10,
        "scheduler._target_": "DDPMScheduler",
        "scheduler.num_train_timesteps": 64,
        "backbone.dim": 16,
        "backbone.multipliers": [1, 2],
        "critic.discount": 0.99,
        "module.average": {},
        "trainer.max_steps": 5,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1, "module__seed": 1},
        {"name": "two"},
        {"num_threads": 4},
        {"paths__run_dir": "there"},
        {"source__data_dir": "there"},
        {"critic__path": "there"},
        {"trainer__accelerator": "gpu"},
        {"module__compile": True},
    ],
)
def test_seeds_places_and_hardware_do_not_count(change):
    assert config_hash(changed(**change)) == config_hash(CONFIG)


@pytest.mark.parametrize("change", [{"backbone__dim": 32}, {"trainer__max_steps": 6}, {"module__backbone__dim": 32}])
def test_whatever_changes_the_numbers_counts(change):
    assert config_hash(changed(**change)) != config_hash(CONFIG)


def test_planning_settings_replace_those_of_training():
    planned = {key: {"_target_": f"Other{key}"} for key in ("task", "scheduler", "guide", "sampler", "planner")}
    joined = experiment_config(CONFIG, {"critic": {"discount": 0.5}}, planned | {"backbone": "not taken"})
    assert joined["scheduler"] == {"_target_": "Otherscheduler"}
    assert joined["critic"] == {"discount": 0.5}
    assert joined["backbone"] == CONFIG["backbone"]
