"""The facts of a task as the commands see them: its own yaml, merged with its body's."""

import functools
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from diffplan.config.paths import CONF_DIR
from diffplan.config.resolvers import register_resolvers

TASKS = sorted(path.stem for path in (CONF_DIR / "task").glob("*.yaml"))


def task_facts(name: str) -> dict[str, Any]:
    return dict(_composed(name))


@functools.cache
def _composed(name: str) -> dict[str, Any]:
    register_resolvers()
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return OmegaConf.to_container(compose("train", [f"task={name}"]).task)
