"""Hostile values at every key that the commands with settings compose."""

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fault import TINY_HOPPER, TINY_MAZE, Fault, Inputs
from hostile import leaves
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from diffplan.config.paths import CONF_DIR
from diffplan.config.resolvers import register_resolvers

GROUP = "settings"
_VALUES = (
    "null", "-1", "0", "0.5", "1000000000", "1e30", "nan", "inf", "-inf", "true", "''", "[]", "{}", "[1]", "[null]",
    "{a:1}", "word", "../../x", "a" * 300, "99999999999999999999999999", "[red]x[/red]", "${nothing}", "'${'", "???",
)  # fmt: skip
# Such trainings and evaluations can be meant, and take years.
_LONG = ("steps", "episodes", "max_epochs", "_seconds")
_REFUSED = (
    "seed=4294967296", "num_threads=0", "trainer.max_steps=-1", "trainer.max_epochs=0",
    "trainer.gradient_clip_val=-1", "trainer.log_every_n_steps=0", "callbacks.checkpoint.every_n_steps=-5",
    "callbacks.rollout.every_n_steps=-5", "backbone.kernel_size=0", "backbone.kernel_size=2", "window.stride=0",
    "average.decay=-inf", "optimizer.lr={}", "paths.output_dir=null", "paths.output_dir=", "name=../../x", "name=..",
    f"name={'a' * 300}", "optimizer=null", f"project={'a' * 300}", f"tags=[{'a' * 300}]", "backbone.dim=1000000000",
    "task.diffusion_steps=1000000000", "datamodule.batch_size=1000000000", "window.horizon=1000000000",
    "scheduler.num_train_timesteps=1000000000", "callbacks.rollout=5", "callbacks=null", "logger=3", "optimizer=[]",
    "window=null", "backbone._target_=no.such.Net", "backbone._target_=5", "trainer.devices=0",
    "trainer.accelerator=gpux", "trainer.precision=33", "trainer.strategy=x", "task=nothing", "a", "=", "+", "~",
    "~optimizer", "~task", "seed=0,1", "seed=[", "seed={", "'", "\\", "seed=" + "9" * 5000, "hydra/launcher=nothing",
    "--cfg", "--nothing", "-m", "+sweep=nothing", "--config-name=nothing", "optimizer.lr=1e400", "denoiser=nothing",
    "stages=[]", "window.horizon=7",
)  # fmt: skip


def faults(rng: random.Random, inputs: Inputs, place: Path) -> Iterator[Fault]:
    """Yields command lines without end."""
    maze = ["train", *TINY_MAZE, f"paths.data_dir={inputs.maze_data}", f"paths.output_dir={place}/out"]
    hopper = ["train", *TINY_HOPPER, f"source.path={inputs.data_file}", f"paths.output_dir={place}/out"]
    plan = ["plan", f"checkpoint={inputs.hopper_run}", "num_episodes=1", "num_videos=0"]
    plan += ["planner=guided_planner", "planner.num_candidates=2", f"paths.run_dir={place}/plan"]
    schedulers = ["schedulers", f"checkpoint={inputs.maze_run}", "num_episodes=1", "schedulers=[ddim]", "steps=[1]"]
    schedulers += ["planner=waypoint_planner", "protocols=[multi2d]", f"paths.run_dir={place}/guide"]
    guidance = ["guidance", f"checkpoint={inputs.hopper_run}", "num_episodes=1", "planner=guided_planner"]
    guidance += ["scales=[0.1]", "candidates=[2]", f"paths.run_dir={place}/guidance"]
    for word in _REFUSED:
        yield Fault(f"train {word[:60]}", [*maze, word], expected="either" if word == "-m" else "refused")
    for word in ("guide=value_guide", "planner=guided_planner", "guide.scale=0.1"):
        words = [word if given.startswith("checkpoint=") else given for given in plan]
        yield Fault(f"maze, {word}", [*words, f"checkpoint={inputs.maze_run}"])
    keys = {command[0]: _keys(command) for command in (maze, hopper, plan, schedulers, guidance)}
    commands = {"train": hopper, "plan": plan, "schedulers": schedulers, "guidance": guidance}
    for number in itertools.count():
        command = commands[rng.choice(("train", "train", "train", "plan", "schedulers", "guidance"))]
        key, value = rng.choice(keys[command[0]]), rng.choice(_VALUES)
        if len(value) > 5 and value[-1].isdigit() and key.endswith(_LONG):
            continue
        mark = rng.choice(("", "", "", "+", "++"))
        yield Fault(
            f"{number} {command[0]} {mark}{key}={value[:40]}", [*command, f"{mark}{key}={value}"], expected="either"
        )


def _keys(command: list[str]) -> list[str]:
    """Every key that a command composes, without places that it would write to and classes that it would run."""
    register_resolvers()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        config: Any = OmegaConf.to_container(compose(command[0], command[1:]))
    keys = (path for path in leaves(config) if all(isinstance(part, str) for part in path))
    return [".".join(path) for path in keys if path[-1] not in ("_target_", "_partial_") and path[0] != "paths"]
