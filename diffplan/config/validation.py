"""Checks a composed config before anything is built: every key, every type, in seconds, without data."""

import inspect
import typing
from collections.abc import Callable
from typing import Any

from beartype.door import is_bearable
from hydra.utils import get_object
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from diffplan.config.paths import CONF_DIR
from diffplan.config.settings import settings_of
from diffplan.errors import ConfigError, closest

_HYDRA_KEYS = {"_target_", "_partial_", "_convert_", "_recursive_", "_args_"}


def check_config(config: DictConfig, command: str) -> None:
    """Refuses what a constructor would not take.

    Args:
        config: The composed config.
        command: ``train``, ``plan`` or ``schedulers``.

    Raises:
        ConfigError: naming the first wrong key, and the one that was probably meant.
    """
    settings = settings_of(command)
    known_keys = set(settings)
    for key in map(str, config):
        if key not in known_keys:
            raise ConfigError(f"there is no setting {key!r}{closest(key, known_keys)}")
    for key, setting in settings.items():
        if setting.is_group:
            continue
        if OmegaConf.is_missing(config, key):
            raise ConfigError(f"{key} must be given.")
        if not OmegaConf.is_interpolation(config, key):
            _check_value(config[key], setting.type, key)
    resolved = config.copy()
    try:
        OmegaConf.resolve(resolved)
    except OmegaConfBaseException as error:
        raise ConfigError(str(error).splitlines()[0]) from error
    for key in map(str, config):
        _check_group(config[key], key)
    # A wrong value is named where it was written, not where it is referred to.
    for values in (config, resolved):
        for key in map(str, values):
            _check_node(values[key], key)


def _check_group(node: Any, group: str) -> None:
    """Groups that build nothing themselves have the settings of their files, or entries that build something."""
    if not isinstance(node, DictConfig) or "_target_" in node:
        return
    files = (CONF_DIR / group).glob("*.yaml")
    known = {str(key) for file in files for key in OmegaConf.load(file)} - {"defaults"}
    for key in map(str, node):
        entry = node[key]
        if key not in known and not (isinstance(entry, DictConfig) and "_target_" in entry):
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
        target = get_object(node._target_)
    except Exception as error:
        raise ConfigError(
            f"{path}._target_={node._target_} cannot be imported: {str(error).splitlines()[0]}"
        ) from error
    parameters = inspect.signature(target).parameters
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    hints = _type_hints(target)
    for key in map(str, node):
        if key in _HYDRA_KEYS:
            continue
        if key not in parameters and not open_ended:
            raise ConfigError(f"{path} has no setting {key!r}{closest(key, set(parameters))}")
        if OmegaConf.is_missing(node, key):
            raise ConfigError(f"{path}.{key} must be given.")
        if not OmegaConf.is_interpolation(node, key):
            _check_value(node[key], hints.get(key), f"{path}.{key}")
    required = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    missing = [name for name in required if name not in node]
    if missing and not node.get("_partial_", False):
        raise ConfigError(f"{path} lacks the setting {missing[0]!r}.")


def _check_value(value: Any, hint: Any, path: str) -> None:
    if hint is None or isinstance(value, DictConfig):
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


def _type_hints(target: Callable[..., Any]) -> dict[str, Any]:
    function = target.__init__ if inspect.isclass(target) else target
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError, AttributeError):
        # A foreign library's annotations need not be evaluable; its constructor still checks its own values.
        return {}
