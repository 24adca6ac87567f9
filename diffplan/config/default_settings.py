"""What a task is trained and planned with if nothing else is asked for."""

import functools
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from diffplan.config.paths import CONF_DIR
from diffplan.config.resolvers import register_resolvers
from diffplan.config.settings import COMPARED, comparable_settings


@functools.cache
def default_settings(task: str) -> dict[str, Any]:
    """Resolves what ``diffplan train task=<task>`` composes, which are the paper's settings.

    Args:
        task: Stem of a file in ``conf/task``.

    Returns:
        The settings that decide the numbers, by dotted key, with the number of steps trained; empty if there is no such
        task.
    """
    if task not in {path.stem for path in (CONF_DIR / "task").glob("*.yaml")}:
        return {}
    own: Any = OmegaConf.load(CONF_DIR / "task" / f"{task}.yaml")
    defaults = own.pop("defaults", [])
    bodies = [entry["/body@_here_"] for entry in defaults if entry != "_self_"]
    config = _composed(str(defaults), task).copy()
    facts: Any = OmegaConf.merge(*(OmegaConf.load(CONF_DIR / "body" / f"{body}.yaml") for body in bodies), own)
    facts.pop("defaults", None)
    config["task"] = facts
    settings = comparable_settings({key: _plain(config, key) for key in (*COMPARED, "trainer")})
    return settings | {"step": settings["trainer.max_steps"]}


_COMPOSED: dict[str, DictConfig] = {}


def _composed(defaults: str, task: str) -> DictConfig:
    """Composes the config of any task with these defaults: composing is slow, and such tasks share all other groups."""
    if defaults not in _COMPOSED:
        register_resolvers()
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            config = compose("train", [f"task={task}"])
        OmegaConf.set_struct(config, False)
        _COMPOSED[defaults] = config
    return _COMPOSED[defaults]


def _plain(config: DictConfig, key: str) -> Any:
    node = config[key]
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
