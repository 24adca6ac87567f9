"""Checks a composed config before anything is built: every key and every type, without importing torch."""

import typing
from collections.abc import Mapping
from typing import Any

import yaml
from beartype.door import is_bearable
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from diffplan.config.paths import CONF_DIR
from diffplan.config.settings import FROM_CHECKPOINT, settings_of
from diffplan.config.signatures import signature
from diffplan.config.task import check_halvings
from diffplan.errors import ConfigError, closest, sentence

_MISSING = "???"
_HYDRA_KEYS = {"_target_", "_partial_", "_convert_", "_recursive_", "_args_"}


def check_config(config: DictConfig, command: str, needs_checkpoint: bool = False) -> None:
    """Refuses what a constructor would not take.

    Args:
        config: The composed config.
        command: ``train``, ``plan`` or ``schedulers``.
        needs_checkpoint: Whether the checkpoint still has to fill in task, name, seed and scheduler. What refers to
            them is not checked then.

    Raises:
        ConfigError: naming the first wrong key, and the one that was probably meant.
    """
    settings = settings_of(command)
    for key in map(str, config):
        if key not in settings:
            raise ConfigError(f"there is no setting {key!r}{closest(key, set(settings))}")
    left_open = FROM_CHECKPOINT if needs_checkpoint else []
    # Plain dictionaries are walked many times faster than OmegaConf's.
    written: Any = OmegaConf.to_container(config, resolve=False)
    for key, setting in settings.items():
        value = written.get(key, _MISSING)
        if value == _MISSING:
            raise ConfigError(f"{key}=... must be given.")
        if _refers(value) or (key in left_open and value is None):
            continue
        if setting.is_group:
            _check_group(value, key)
            # A wrong value is named where it was written, not where it is referred to.
            _check_node(value, key)
        else:
            _check_value(value, setting.type, key)
            if setting.at_least is not None and value < setting.at_least:
                raise ConfigError(f"{key} must be at least {setting.at_least}, got {value}.")
    if needs_checkpoint:
        return
    try:
        named = config.copy()
        # The folder's name holds a hash of nearly everything, and many settings refer to it: it is found once.
        named.paths.run_dir = str(config.paths.run_dir)
        resolved: Any = OmegaConf.to_container(named, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(sentence(error)) from error
    for key, value in resolved.items():
        _check_node(value, key)
    if "backbone" in resolved:
        check_horizon(resolved["window"]["horizon"], resolved["backbone"])
        check_horizon(resolved["planner"].get("horizon"), resolved["backbone"])


def check_horizon(horizon: int | None, backbone: Mapping[str, Any] | None) -> None:
    """Refuses, before a network is built, a horizon that it would refuse.

    Args:
        horizon: Plan rows; None is the horizon the network is trained with.
        backbone: Settings of the network.

    Raises:
        HorizonError: a U-Net cannot halve the horizon.
    """
    if horizon is not None and backbone is not None and str(backbone.get("_target_")).endswith(".TemporalUnet"):
        check_halvings(horizon, len(backbone["dim_multipliers"]) - 1)


def _check_group(node: Any, group: str) -> None:
    """Groups that build nothing themselves have the settings of their files, or entries that build something."""
    if not isinstance(node, dict) or "_target_" in node:
        return
    files = (CONF_DIR / group).glob("*.yaml")
    known = {str(key) for file in files for key in yaml.safe_load(file.read_text())} - {"defaults"}
    for key, entry in node.items():
        if key not in known and not (isinstance(entry, dict) and "_target_" in entry):
            raise ConfigError(f"{group} has no setting {key!r}{closest(key, known)}")


def _check_node(node: Any, path: str) -> None:
    if isinstance(node, list):
        for index, item in enumerate(node):
            _check_node(item, f"{path}[{index}]")
    if not isinstance(node, dict):
        return
    if "_target_" in node:
        _check_call(node, path)
    for key, value in node.items():
        _check_node(value, f"{path}.{key}")


def _check_call(node: Mapping[str, Any], path: str) -> None:
    try:
        taken = signature(node["_target_"])
    except Exception as error:
        raise ConfigError(f"{path}._target_={node['_target_']} cannot be imported: {_root_cause(error)}") from error
    for key, value in node.items():
        if key in _HYDRA_KEYS:
            continue
        if key not in taken.parameters and not taken.open_ended:
            raise ConfigError(f"{path} has no setting {key!r}{closest(key, set(taken.parameters))}")
        if value == _MISSING:
            raise ConfigError(f"{path}.{key}=... must be given.")
        if key in taken.parameters and not _refers(value):
            _check_value(value, taken.parameters[key].hint, f"{path}.{key}")
    missing = [name for name, parameter in taken.parameters.items() if parameter.required and name not in node]
    if missing and not node.get("_partial_", False):
        raise ConfigError(f"{path} lacks the setting {missing[0]!r}.")


def _check_value(value: Any, hint: Any, path: str) -> None:
    if hint is Any or isinstance(value, dict):
        return
    # YAML writes whole floats as ints and knows no tuples.
    for candidate in (value, tuple(value) if isinstance(value, list) else value, _as_float(value)):
        if is_bearable(candidate, hint):
            return
    wanted = getattr(hint, "__name__", None) if not typing.get_args(hint) else str(hint).replace("typing.", "")
    raise ConfigError(f"{path} must be {wanted}, got {value!r}.")


def _refers(value: Any) -> bool:
    """Whether a value, or an item of a list such as ``tags``, refers to another setting."""
    items = value if isinstance(value, list) else [value]
    return any(isinstance(item, str) and "${" in item for item in items)


def _as_float(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _root_cause(error: BaseException) -> str:
    """The error that began a chain, in one line."""
    while (before := error.__cause__ or error.__context__) is not None:
        error = before
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].rstrip(':')}" if lines else type(error).__name__
