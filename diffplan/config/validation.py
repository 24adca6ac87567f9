"""Checks a composed config before anything is built: every key and every type, without importing torch."""

import typing
from collections.abc import Mapping
from typing import Any

from beartype.door import is_bearable
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from diffplan.config.paths import CONF_DIR
from diffplan.config.settings import FROM_CHECKPOINT, settings_of
from diffplan.config.signatures import signature
from diffplan.config.task import check_halvings
from diffplan.errors import ConfigError, closest, sentence

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
    for key, setting in settings.items():
        if OmegaConf.is_missing(config, key):
            raise ConfigError(f"{key} must be given.")
        if OmegaConf.is_interpolation(config, key) or (key in left_open and config[key] is None):
            continue
        if not setting.is_group:
            # A list may hold references, as `tags` does.
            if "${" not in str(config[key]):
                _check_value(config[key], setting.type, key)
        else:
            _check_group(config[key], key)
            # A wrong value is named where it was written, not where it is referred to.
            _check_node(config[key], key)
    if needs_checkpoint:
        return
    resolved = config.copy()
    try:
        OmegaConf.resolve(resolved)
    except OmegaConfBaseException as error:
        raise ConfigError(sentence(error)) from error
    for key in map(str, resolved):
        _check_node(resolved[key], key)
    if "backbone" in resolved:
        check_horizon(resolved.window.horizon, resolved.backbone)
        check_horizon(resolved.planner.get("horizon"), resolved.backbone)


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
    if not isinstance(node, DictConfig) or "_target_" in node:
        return
    files = (CONF_DIR / group).glob("*.yaml")
    known = {str(key) for file in files for key in OmegaConf.load(file)} - {"defaults"}
    for key in map(str, node):
        if key not in known and not (isinstance(node[key], DictConfig) and "_target_" in node[key]):
            raise ConfigError(f"{group} has no setting {key!r}{closest(key, known)}")


def _check_node(node: Any, path: str) -> None:
    if isinstance(node, ListConfig):
        for index, item in enumerate(node):
            _check_node(item, f"{path}[{index}]")
    if not isinstance(node, DictConfig):
        return
    if "_target_" in node:
        _check_call(node, path)
    for key in map(str, node):
        if not OmegaConf.is_missing(node, key) and not OmegaConf.is_interpolation(node, key):
            _check_node(node[key], f"{path}.{key}")


def _check_call(node: DictConfig, path: str) -> None:
    try:
        taken = signature(node._target_)
    except Exception as error:
        raise ConfigError(f"{path}._target_={node._target_} cannot be imported: {_root_cause(error)}") from error
    for key in map(str, node):
        if key in _HYDRA_KEYS:
            continue
        if key not in taken.parameters and not taken.open_ended:
            raise ConfigError(f"{path} has no setting {key!r}{closest(key, set(taken.parameters))}")
        if OmegaConf.is_missing(node, key):
            raise ConfigError(f"{path}.{key} must be given.")
        if not OmegaConf.is_interpolation(node, key) and key in taken.parameters:
            _check_value(node[key], taken.parameters[key].hint, f"{path}.{key}")
    missing = [name for name, parameter in taken.parameters.items() if parameter.required and name not in node]
    if missing and not node.get("_partial_", False):
        raise ConfigError(f"{path} lacks the setting {missing[0]!r}.")


def _check_value(value: Any, hint: Any, path: str) -> None:
    if hint is Any or isinstance(value, DictConfig):
        return
    plain = OmegaConf.to_container(value, resolve=True) if isinstance(value, ListConfig) else value
    # YAML writes whole floats as ints and knows no tuples.
    for candidate in (plain, tuple(plain) if isinstance(plain, list) else plain, _as_float(plain)):
        if is_bearable(candidate, hint):
            return
    wanted = getattr(hint, "__name__", None) if not typing.get_args(hint) else str(hint).replace("typing.", "")
    raise ConfigError(f"{path} must be {wanted}, got {plain!r}.")


def _as_float(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _root_cause(error: BaseException) -> str:
    """The error that began a chain, in one line."""
    while (before := error.__cause__ or error.__context__) is not None:
        error = before
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].rstrip(':')}" if lines else type(error).__name__
