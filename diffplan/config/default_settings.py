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
    body, facts = _facts("task", task)
    config = _composed(body, task).copy()
    config["task"] = facts
    settings = comparable_settings({key: _plain(config, key) for key in (*COMPARED, "trainer")})
    return settings | {"step": settings["trainer.max_steps"]}


def _facts(folder: str, name: str) -> tuple[str, Any]:
    """Reads a task, or the body of one, with the files that it builds on; returns the name of its body, too."""
    own: Any = OmegaConf.load(CONF_DIR / folder / f"{name}.yaml")
    body, merged = name, OmegaConf.create({})
    for entry in own.pop("defaults", []):
        if isinstance(entry, str) and entry != "_self_":
            body, merged = _facts("task", entry)
        elif "/body@_here_" in entry:
            body, merged = _facts("body", entry["/body@_here_"])
    return body, OmegaConf.merge(merged, own)


_COMPOSED: dict[str, DictConfig] = {}


def _composed(body: str, task: str) -> DictConfig:
    """Composes the config of any task with this body: composing is slow, and such tasks share all other groups."""
    if body not in _COMPOSED:
        register_resolvers()
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            config = compose("train", [f"task={task}"])
        OmegaConf.set_struct(config, False)
        _COMPOSED[body] = config
    return _COMPOSED[body]


def _plain(config: DictConfig, key: str) -> Any:
    node = config[key]
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
