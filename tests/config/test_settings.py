import copy
import re

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from diffplan.config.paths import CONF_DIR
from diffplan.config.resolvers import register_resolvers
from diffplan.config.settings import (
    NAMES_IN_GROUPS,
    SETTINGS,
    TRAINER_SETTINGS,
    Meaning,
    comparable_settings,
    experiment_config,
    meaning_of,
    result_hash,
    settings_of,
    tried_words,
)

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
    assert result_hash(changed(**change)) == result_hash(CONFIG)


def test_settings_that_came_later_count_only_where_they_change_something():
    later = {"critic__held_out": 0.0, "critic__keep": "last", "critic__check_every_n_steps": 1000}
    assert result_hash(changed(**later)) == result_hash(CONFIG)
    assert result_hash(changed(**later | {"critic__held_out": 0.1})) != result_hash(CONFIG)


@pytest.mark.parametrize("change", [{"backbone__dim": 32}, {"trainer__max_steps": 6}, {"module__backbone__dim": 32}])
def test_whatever_changes_the_numbers_counts(change):
    assert result_hash(changed(**change)) != result_hash(CONFIG)


def test_planning_settings_replace_those_of_training():
    planned = {key: {"_target_": f"Other{key}"} for key in ("task", "scheduler", "guide", "sampler", "planner")}
    joined = experiment_config(CONFIG, {"critic": {"discount": 0.5}}, planned | {"backbone": "not taken"})
    assert joined["scheduler"] == {"_target_": "Otherscheduler"}
    assert joined["critic"] == {"discount": 0.5}
    assert joined["backbone"] == CONFIG["backbone"]


def compose_all():
    """Every command with every option of every group, every task and every experiment, as few configs as hold them."""
    register_resolvers()
    groups = {path.name: sorted(file.stem for file in path.glob("*.yaml")) for path in CONF_DIR.iterdir()}
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        for command in ("plan", "schedulers", "guidance"):
            yield command, compose(command, ["checkpoint=none.ckpt"])
        for task in ("maze2d-umaze-v1", "hopper-medium-v2"):
            yield "train", compose("train", [f"task={task}"])
        for name in groups["experiment"]:
            yield "train", compose("train", [f"experiment={name}", "debug=fast"])
    for folder, options in groups.items():
        if folder in SETTINGS:
            for option in options:
                content = OmegaConf.load(CONF_DIR / folder / f"{option}.yaml")
                yield "train", OmegaConf.create({folder: content})


def unclassified():
    """Keys of composed configs that no table classifies: those at the top level, and each of the trainer's."""
    keys = {str(key) for _, config in CONFIGS for key in config} - {"trainer"}
    trainers = [config.trainer for _, config in CONFIGS if "trainer" in config]
    keys |= {f"trainer.{key}" for trainer in trainers for key in trainer if key not in ("_target_", "defaults")}
    return {key for key in keys if meaning_of(key) is None}


CONFIGS = list(compose_all())


def test_every_setting_of_every_composed_config_is_classified():
    assert len(CONFIGS) > 80
    assert unclassified() == set()


@pytest.mark.parametrize("key", SETTINGS)
def test_a_key_that_lost_its_row_is_found(key, monkeypatch):
    monkeypatch.delitem(SETTINGS, key)
    assert {found.split(".")[0] for found in unclassified()} == {key}


@pytest.mark.parametrize("key", TRAINER_SETTINGS)
def test_a_key_of_the_trainer_that_lost_its_row_is_found(key, monkeypatch):
    monkeypatch.delitem(TRAINER_SETTINGS, key)
    assert unclassified() == {f"trainer.{key}"}


@pytest.mark.parametrize(("command", "config"), [entry for entry in CONFIGS if len(entry[1]) > 1])
def test_a_command_has_exactly_the_settings_that_are_said_to_be_its_own(command, config):
    assert set(config) == set(settings_of(command))
    for key, setting in settings_of(command).items():
        if not OmegaConf.is_interpolation(config, key) and config[key] is not None:
            assert setting.is_group == OmegaConf.is_dict(config[key]), key


@pytest.mark.parametrize("name", sorted(NAMES_IN_GROUPS.keys() - {"max_memory_gib"}))
def test_a_name_that_means_the_same_everywhere_occurs(name):
    texts = [path.read_text() for path in CONF_DIR.glob("*/*.yaml")]
    assert any(re.search(rf"^ *{name}:", text, re.MULTILINE) for text in texts)


@pytest.mark.parametrize(
    ("key", "meaning"),
    [
        ("seed", Meaning.SEED),
        ("source.seed", Meaning.SEED),
        ("source.data_dir", Meaning.LABEL),
        ("source.name", Meaning.WEIGHTS),
        ("planner.fast_networks", Meaning.COST),
        ("planner.num_candidates", Meaning.PLANS),
        ("trainer.precision", Meaning.WEIGHTS),
        ("trainer.accelerator", Meaning.COST),
        ("trainer.limit_train_batches", None),
        ("trainer", None),
        ("nothing", None),
    ],
)
def test_the_nearest_row_says_what_a_key_means(key, meaning):
    assert meaning_of(key) is meaning


def test_words_that_say_how_much_was_played_are_not_what_was_tried():
    assert tried_words("default") == []
    assert tried_words("num_episodes=2,stages=[critic,denoiser],window.horizon=8") == [
        "stages=[critic,denoiser]",
        "window.horizon=8",
    ]
