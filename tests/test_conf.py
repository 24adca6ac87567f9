"""Every file in ``conf`` composes, passes the checks of the command that uses it, and builds what it names."""

import inspect
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

from diffplan.config.paths import CONF_DIR
from diffplan.config.resolvers import register_resolvers
from diffplan.config.validation import check_config
from diffplan.errors import ConfigError
from diffplan.training.modules import DiffuserModule
from diffplan.training.stages import new_model
from tests.training.test_stage import write_hops

GROUPS = {
    folder.name: [path.stem for path in sorted(folder.glob("*.yaml"))]
    for folder in sorted(CONF_DIR.iterdir())
    if folder.is_dir()
}
PLAN_ONLY = {"hydra": ["plan"], "paths": ["plan", "schedulers", "guidance"]}
WHOLE_CONFIG = ("experiment", "debug")
# Parts of the critic, which are in every config that has one.
CRITIC_PARTS = {"backbone": ["value_unet"], "loss": ["value_loss"], "module": ["value_module"]}
# A task chooses its domain, and these need a task with a value to follow.
NEEDS_VALUE = {
    "guide": ["value_guide", "calibrated_guide"],
    "critic": ["value_critic"],
    "planner": [option for option in GROUPS["planner"] if option != "waypoint_planner"],
}
LEFT_OUT = {
    group: PLAN_ONLY.get(group, []) + CRITIC_PARTS.get(group, []) + NEEDS_VALUE.get(group, []) for group in GROUPS
}
TRAIN_GROUPS = {
    group: [option for option in options if option not in LEFT_OUT[group]]
    for group, options in GROUPS.items()
    if group not in (*WHOLE_CONFIG, "domain", "body")
}
MAZES = [task for task in GROUPS["task"] if task.startswith("maze2d")]
VALUED = [task for task in GROUPS["task"] if task not in MAZES]
# Composing costs a quarter of a second, so one config tries an option of every group at once.
ROUNDS = [
    {group: options[index % len(options)] for group, options in {**TRAIN_GROUPS, "task": MAZES}.items()}
    for index in range(max(len(MAZES), *(len(options) for group, options in TRAIN_GROUPS.items() if group != "task")))
] + [
    {"task": task, **{group: options[index % len(options)] for group, options in NEEDS_VALUE.items()}}
    for index, task in enumerate(VALUED)
]
REQUIRED = {
    "minari_source": ["source.dataset_id=D4RL/pointmaze/umaze-v2"],
    "calibrated_guide": ["critic.held_out=0.1"],
    "calibrated_guided_planner": ["critic.held_out=0.1"],
}
LIGHT = ("backbone.dim=8", "scheduler.num_train_timesteps=4")


def composed(*overrides: str, name: str = "train", folder: Path | str = "outputs") -> DictConfig:
    register_resolvers()
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return compose(name, [*overrides, f"paths.output_dir={folder}", f"paths.data_dir={folder}/data"])


def built_nodes(config: DictConfig, group: str) -> list[DictConfig]:
    """Everything with a target in one group of a config."""
    node = config.get(group)
    if node is None or not OmegaConf.is_dict(node):
        return []
    return [node] if "_target_" in node else [child for child in node.values() if OmegaConf.is_dict(child)]


def test_every_option_of_every_group_has_its_turn():
    assert {"task", "source", "backbone", "scheduler", "module"} <= set(TRAIN_GROUPS)
    for group, options in TRAIN_GROUPS.items():
        assert {choices.get(group) for choices in ROUNDS} >= set(options) - set(NEEDS_VALUE.get(group, ()))
    for group, options in NEEDS_VALUE.items():
        assert {choices.get(group) for choices in ROUNDS} >= set(options)


@pytest.mark.parametrize(("group", "options"), CRITIC_PARTS.items())
def test_the_critic_s_parts_are_in_its_config(group, options):
    critic = composed(f"task={VALUED[0]}").critic
    assert critic[group]._target_.rpartition(".")[2].lower() in [option.replace("_", "") for option in options]


def test_every_domain_is_chosen_by_a_body():
    bodies = set(GROUPS["body"]) - {"maze2d"}
    texts = [(CONF_DIR / "body" / f"{body}.yaml").read_text() for body in bodies]
    assert all("domain@_global_.domain: locomotion" in text for text in texts)
    assert set(GROUPS["domain"]) == {"maze2d", "locomotion"}


def test_a_task_alone_chooses_critic_guide_sampler_and_planner():
    config = composed(f"task={VALUED[0]}")
    kinds = [config[group]._target_.split(".")[-1] for group in ("guide", "sampler", "planner", "conditioning")]
    assert kinds == ["ValueGuide", "SampleShiftSampler", "GuidedPlanner", "FirstState"]
    assert config.critic.module._target_.endswith("ValueModule")
    assert composed().critic.module is None


def test_what_is_said_beats_what_a_task_chooses():
    config = composed(
        f"task={VALUED[0]}", "guide=no_guide", "sampler=mean_shift_sampler", "normalizer=limits_normalizer"
    )
    kinds = [config[group]._target_.split(".")[-1] for group in ("guide", "sampler", "normalizer")]
    assert kinds == ["NoGuide", "MeanShiftSampler", "LimitsNormalizer"]


@pytest.mark.parametrize("choices", ROUNDS, ids=lambda choices: choices.get("sampler", "") + choices["task"])
def test_every_option_composes_passes_the_checks_and_is_built(choices, tmp_path):
    required = [override for option in choices.values() for override in REQUIRED.get(option, ())]
    config = composed(*[f"{group}={option}" for group, option in choices.items()], *required, *LIGHT, folder=tmp_path)
    check_config(config, "train")
    OmegaConf.set_struct(config, False)
    config.trainer.update({"accelerator": "cpu", "logger": False})
    for logger in config.logger.values():
        logger.update({"mode": "offline"} if "mode" in logger else {})
    for group in TRAIN_GROUPS:
        for node in built_nodes(config, group):
            made = instantiate(node)
            target = get_object(node._target_)
            made = getattr(made, "func", made)
            assert made is target or not inspect.isclass(target) or isinstance(made, target)


@pytest.mark.parametrize(("group", "option"), [(g, option) for g in WHOLE_CONFIG for option in GROUPS[g]])
def test_every_experiment_composes_and_passes_the_checks(group, option):
    check_config(composed(f"{group}={option}"), "train")


@pytest.mark.parametrize("group", ["scheduler", "normalizer", "conditioning"])
def test_every_choice_makes_a_module_that_can_be_trained(group):
    assert len(GROUPS[group]) > 1
    for option in GROUPS[group]:
        config = composed(f"{group}={option}", *LIGHT)
        model = new_model(config, instantiate(config.datamodule))
        module = instantiate(config.module)(model)
        assert isinstance(module, DiffuserModule)
        width = model.layout.transition_dim
        prediction = module.backbone(torch.zeros(2, model.horizon, width), torch.zeros(2, dtype=torch.long))
        assert prediction.shape == (2, model.horizon, width)


def test_every_choice_of_the_planning_command_composes():
    register_resolvers()
    for name in GROUPS["scheduler"]:
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            config = compose("plan", [f"scheduler={name}", "checkpoint=none.ckpt"])
        assert config.scheduler._target_.startswith("diffusers.")


def test_the_schedulers_guide_composes_for_every_planner():
    register_resolvers()
    for planner in GROUPS["planner"]:
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            config = compose("schedulers", [f"planner={planner}", "checkpoint=none.ckpt"])
        assert set(config.schedulers) <= set(GROUPS["scheduler"])


@pytest.mark.parametrize("name", GROUPS["scheduler"])
def test_the_fast_sampler_takes_any_scheduler(name):
    register_resolvers()
    words = ["planner=fast_guided_planner", f"scheduler@sampler.scheduler={name}", "checkpoint=none.ckpt"]
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config = compose("plan", words)
    assert config.sampler.num_inference_steps == 5
    assert config.sampler.scheduler == OmegaConf.load(CONF_DIR / "scheduler" / f"{name}.yaml")


def test_the_paper_settings_need_no_override():
    config = composed()
    assert config.window.horizon == 128
    assert config.scheduler.num_train_timesteps == 64
    assert config.trainer.accumulate_grad_batches * config.datamodule.batch_size == 64


def test_two_runs_that_would_train_alike_share_a_folder_and_others_do_not():
    folder = composed(*LIGHT).paths.run_dir
    assert composed(*LIGHT, "callbacks.rollout.every_n_steps=7", "resume=false").paths.run_dir == folder
    for override in (
        "optimizer.lr=0.5",
        "seed=1",
        "window.horizon=64",
        "trainer.max_steps=3",
        "normalizer=gaussian_normalizer",
    ):
        assert composed(*LIGHT, override).paths.run_dir != folder, override


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+optimizer.weight_decai=3", "did you mean 'weight_decay'"),
        ("+callbacks.extra=3", "callbacks has no setting 'extra'"),
        ("backbone.dim=wide", "backbone.dim must be int, got 'wide'"),
        ("window.horizon=long", "horizon must be int, got 'long'"),
        ("trainer.max_steps=many", "trainer.max_steps must be"),
        ("backbone.dim=2.5", "backbone.dim must be int, got 2.5"),
        ("datamodule.drop_last_window=perhaps", "drop_last_window must be bool"),
        ("window.padding=mirror", "padding must be"),
        ("backbone._target_=diffplan.method.network.no.No", "cannot be imported"),
        ("source=minari_source", "source.dataset_id"),
        ("~backbone.transition_dim", "backbone lacks the setting 'transition_dim'"),
    ],
)
def test_a_config_that_no_constructor_would_take_is_refused(override, message):
    with pytest.raises(ConfigError, match=r"^[^\n]+$") as caught:
        check_config(composed(override), "train")
    assert message in str(caught.value)


def test_a_key_mistyped_in_a_file_is_refused():
    config = composed("experiment=quickstart")
    OmegaConf.set_struct(config, False)
    config.window.strid = 4
    with pytest.raises(ConfigError, match="did you mean 'stride'"):
        check_config(config, "train")


@pytest.mark.slow
@pytest.mark.parametrize("experiment", GROUPS["experiment"])
def test_every_experiment_trains_two_steps(train_command, experiment, tmp_path):
    data = ["source=maze2d_source", "source.num_transitions=3000"]
    if composed(f"experiment={experiment}").critic.module is not None:
        write_hops(tmp_path / "hops.hdf5")
        data = [f"source.path={tmp_path}/hops.hdf5", "critic.max_steps=2"]
    result = train_command(
        f"experiment={experiment}",
        *data,
        "logger=csv_logger",
        "trainer=cpu",
        "trainer.max_steps=2",
        "datamodule.batch_size=8",
        "callbacks.rollout.num_final_episodes=2",
        "callbacks.rollout.num_videos=1",
        tiny=False,
    )
    assert result.returncode == 0, result.stderr
    (run_dir,) = train_command.run_dirs
    assert (run_dir / "checkpoints" / "last.ckpt").is_file()
