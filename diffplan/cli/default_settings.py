"""What a task is trained and planned with when nothing is said, which are the paper's settings."""

import functools
import json
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from diffplan.config.paths import CONF_DIR
from diffplan.config.resolvers import register_resolvers
from diffplan.run.comparable_settings import comparable_settings

# Places and names, some of which exist only while a run does.
_LEFT_OUT = {"paths", "callbacks", "logger", "hydra", "name", "ablation", "group", "tags"}
_COMPOSED: dict[str, DictConfig] = {}


@functools.cache
def default_settings(task: str) -> dict[str, Any]:
    """Resolves what ``diffplan-train task=<task>`` composes.

    Args:
        task: A file of ``conf/task``.

    Returns:
        Settings that decide the numbers, by dotted key, and the step trained to; nothing for a task that is not there.
    """
    if task not in {path.stem for path in (CONF_DIR / "task").glob("*.yaml")}:
        return {}
    facts = yaml.safe_load((CONF_DIR / "task" / f"{task}.yaml").read_text(encoding="utf-8"))
    # Composing takes longer than all else, and tasks that choose the same groups differ in their own facts alone.
    config = _composed(json.dumps(facts.pop("defaults", None)), task)
    config["task"] = facts
    settings = comparable_settings({str(key): _plain(config, str(key)) for key in config if key not in _LEFT_OUT})
    return settings | {"step": settings["trainer.max_steps"]}


def _composed(groups: str, task: str) -> DictConfig:
    """The config of any task that chooses these groups."""
    if groups not in _COMPOSED:
        register_resolvers()
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            config = compose("train", [f"task={task}"])
        OmegaConf.set_struct(config, False)
        _COMPOSED[groups] = config
    return _COMPOSED[groups]


def _plain(config: DictConfig, key: str) -> Any:
    node = config[key]
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
