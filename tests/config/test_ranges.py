"""Every number and name that can be typed has a range, which is checked before anything is made."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from diffplan.cli.settings_check import check_settings
from diffplan.config.paths import CONF_DIR
from diffplan.config.ranges import RANGES, check_range
from diffplan.config.resolvers import register_resolvers
from diffplan.errors import ConfigError, DiffplanError

HOPPER = "task=hopper-medium-v2"
# Numbers that are facts of a task or may be negative.
WITHOUT_RANGE = {
    "reference_min",
    "reference_max",
    "guide_scale",
    "scale",
    "target",
    "paper_scores",
    "termination_penalty",
}


def check(*words):
    register_resolvers()
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        check_settings(compose("train", list(words)), "train")


def numbers(node, path=""):
    if isinstance(node, dict):
        for key, value in node.items():
            yield from numbers(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for item in node:
            yield from numbers(item, path)
    elif isinstance(node, (int, float)) and not isinstance(node, bool):
        yield path


def test_every_number_of_conf_has_a_range():
    files = [path for path in CONF_DIR.rglob("*.yaml") if path.parent.name not in ("hydra", "launcher")]
    found = {key for path in files for key in numbers(OmegaConf.to_container(OmegaConf.load(path)))}
    assert len(found) > 60
    names = {key.rpartition(".")[2] for key in found if "paper_scores" not in key} - WITHOUT_RANGE
    assert names <= {key.rpartition(".")[2] for key in RANGES}


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("seed=4294967296", "seed must be at most 4294967295, got 4294967296."),
        ("num_threads=0", "num_threads must be at least 1, got 0."),
        ("trainer.max_steps=-1", "trainer.max_steps must be at least 1, got -1."),
        ("trainer.max_epochs=0", "trainer.max_epochs must be -1 or at least 1, got 0."),
        ("trainer.gradient_clip_val=-1", "trainer.gradient_clip_val must be at least 0, got -1."),
        ("trainer.log_every_n_steps=0", "trainer.log_every_n_steps must be at least 1, got 0."),
        ("callbacks.checkpoint.every_n_steps=-5", "callbacks.checkpoint.every_n_steps must be at least 1, got -5."),
        ("callbacks.rollout.every_n_steps=-5", "callbacks.rollout.every_n_steps must be at least 0, got -5."),
        ("backbone.kernel_size=2", "backbone.kernel_size must be one of 1, 3, 5 and so on, got 2."),
        ("backbone.dim=12", "backbone.dim must be one of 8, 16, 24 and so on, got 12."),
        ("backbone.dim_multipliers=[2,4]", "backbone.dim_multipliers must begin with 1, got [2, 4]."),
        ("window.stride=0", "window.stride must be at least 1, got 0."),
        ("average.decay=-inf", "average.decay must be a finite number, got -inf."),
        ("optimizer.lr=nan", "optimizer.lr must be a finite number, got nan."),
        ("optimizer.betas=[0.9,1]", "optimizer.betas[1] must be at most 0.9999999, got 1."),
        ("optimizer.lr={}", "optimizer.lr must be float | Tensor, got {}."),
        ("seed={}", "seed must be int, got {}."),
        ("task.protocols=[]", "task.protocols must not be empty."),
        ("callbacks.rollout=5", "callbacks.rollout must be null or settings with a _target_, got 5."),
        ("~optimizer._target_", "optimizer lacks the setting '_target_', the class that it builds."),
        ("paths.output_dir=null", "paths.output_dir must be str, got None."),
        ("paths.output_dir=", "paths.output_dir must not be empty."),
        ("name=../../x", "name must be a word without / \\, got '../../x'."),
        ("name=${task.name}/x", "name must be a word without / \\, got 'maze2d-umaze-v1/x'."),
        ("name='a\tb'", "name must hold no control characters, got 'a\\tb'."),
        (f"name={'a' * 300}", f"name may have 64 letters, got 300: {'a' * 20}..."),
        (f"project={'a' * 129}", f"project may have 128 letters, got 129: {'a' * 20}..."),
        (f"tags=[{'a' * 65}]", f"tags may have 64 letters, got 65: {'a' * 20}..."),
        ("planner=guided_planner", "guide=value_guide follows a critic, and this run has none"),
        ("scheduler.num_train_timesteps=1000000000", "scheduler.num_train_timesteps must be at most 100000"),
        ("backbone._target_=my.own.Net", "No module named 'my'; name the folder of my.py in PYTHONPATH"),
    ],
)
def test_what_cannot_be_meant_is_refused(word, sentence):
    with pytest.raises(ConfigError, match=r"^[^\n]+$") as caught:
        check(word)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    "word",
    [
        "callbacks.rollout=null",
        "logger.wandb=null",
        "logger=csv_logger",
        "trainer.max_epochs=5",
        "trainer.devices=[0,1]",
        "trainer.devices=auto",
        "callbacks.rollout.every_n_steps=0",
        "callbacks.rollout.protocols=multi2d",
        "module.learning_rate_schedule=null",
        "backbone.kernel_size=1",
        "optimizer.betas=[0,0.99]",
        "datamodule.batch_size=4096",
    ],
)
def test_what_can_be_meant_is_accepted(word):
    check(word)


@pytest.mark.parametrize(
    ("words", "most_of_it"),
    [
        (["datamodule.batch_size=1000000000", "trainer=cpu"], "the batch (datamodule.batch_size)"),
        (["backbone.dim=65536"], "the network"),
        (["source=maze2d_source", "source.num_transitions=1000000000"], "the data (source.num_transitions)"),
        ([HOPPER, "planner.num_candidates=1000000000"], "the plans of all episodes (planner.max_batch)"),
    ],
)
def test_what_no_memory_can_hold_is_refused_with_its_size(words, most_of_it, monkeypatch):
    monkeypatch.setattr("diffplan.config.memory.available_memory", lambda: 16 * 10**9)
    with pytest.raises(ConfigError, match=r"need about [\d.]+ [GTP]B of memory") as caught:
        check(*words)
    assert f"most of it for {most_of_it}, and 16 GB are available." in str(caught.value)


def test_a_class_of_the_user_may_mean_something_else_by_a_name(tmp_path, monkeypatch):
    (tmp_path / "own_callbacks.py").write_text("class Own:\n    def __init__(self, seed: int = 0): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    check("+callbacks.own._target_=own_callbacks.Own", "+callbacks.own.seed=-1")


def test_a_setting_of_a_part_that_is_not_chosen_is_no_setting():
    with pytest.raises(Exception, match=r"guide\.scale"):
        check("guide.scale=1")


@pytest.mark.parametrize("value", [True, None, "word", 3, [1, 2], {"a": 1}])
def test_a_key_without_a_range_takes_any_finite_value(value):
    check_range(value, "own.thing")


def test_a_critic_needs_all_its_parts():
    with pytest.raises(DiffplanError, match=r"^critic.target=... must be given, because critic.module is.$"):
        check(HOPPER, "critic.target=null")


def test_the_available_memory_is_at_most_the_machine_s():
    from diffplan.config.memory import available_memory

    total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    assert 0 < available_memory() <= total
