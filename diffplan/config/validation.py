"""Checks a composed config before anything is built: every key and every type, without importing torch."""

import typing
from collections.abc import Mapping
from typing import Any, Literal

import yaml
from beartype.door import is_bearable
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from diffplan.config.memory import check_training_memory
from diffplan.config.parts import part_targets
from diffplan.config.paths import CONF_DIR
from diffplan.config.ranges import PLAIN_GROUPS, TYPES, check_range
from diffplan.config.settings import FROM_CHECKPOINT, settings_of
from diffplan.config.signatures import signature
from diffplan.config.task import check_halvings, check_value_widths, check_widths
from diffplan.errors import ConfigError, closest, sentence

_MISSING = "???"
_CRITIC_GUIDES = {"ValueGuide": "value_guide", "CalibratedGuide": "calibrated_guide"}
_HYDRA_KEYS = {"_target_", "_partial_", "_convert_", "_recursive_", "_args_"}


def check_config(config: DictConfig, command: str, needs_checkpoint: bool = False) -> None:
    """Refuses what a constructor would not take.

    Args:
        config: The composed config.
        command: ``train``, ``plan``, ``schedulers`` or ``guidance``.
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
        _check_value(value, dict if setting.is_group else setting.type, key)
        if setting.is_group:
            _check_group(value, key)
            # A wrong value is named where it was written, not where it is referred to.
            _check_node(value, key)
    if needs_checkpoint:
        return
    try:
        named = config.copy()
        # The folder's name holds a hash of nearly everything, and many settings refer to it: it is found once.
        named.paths.run_dir = str(config.paths.run_dir)
        resolved: Any = OmegaConf.to_container(named, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(sentence(error)) from error
    critic = resolved["critic"]
    if "module" in critic:
        # Planning finds its critic beside the checkpoint, too.
        check_guide(resolved, critic["module"] is not None or critic["path"] is not None)
    for key, value in resolved.items():
        check_range(value, key)
        _check_node(value, key)
    if "backbone" in resolved:
        check_horizon(resolved["window"]["horizon"], resolved["backbone"])
        check_horizon(resolved["planner"].get("horizon"), resolved["backbone"])
        if critic["module"] is not None:
            needed = [key for key in ("target", "backbone", "loss", "optimizer", "average") if not critic.get(key)]
            if needed:
                raise ConfigError(f"critic.{needed[0]}=... must be given, because critic.module is.")
            check_horizon(None, critic["backbone"])
        check_training_memory(resolved)


def check_horizon(horizon: int | None, backbone: Mapping[str, Any] | None) -> None:
    """Refuses, before a network is built, a horizon or widths that it would refuse.

    Args:
        horizon: Plan rows; None is the horizon the network is trained with.
        backbone: Settings of the network.

    Raises:
        ConfigError: the network has other widths.
        HorizonError: a U-Net cannot halve the horizon.
    """
    target = str((backbone or {}).get("_target_"))
    if backbone is None or not target.endswith((".TemporalUnet", ".ValueUnet")):
        return
    dim, multipliers = backbone.get("dim", 32), backbone["dim_multipliers"]
    if target.endswith(".ValueUnet"):
        check_value_widths(dim, multipliers)
        return
    check_widths(dim, multipliers)
    if horizon is not None:
        check_halvings(horizon, len(multipliers) - 1)


def _check_group(node: Mapping[str, Any], group: str) -> None:
    """Groups that build nothing themselves have the settings of their files, or entries that build something."""
    if "_target_" in node:
        return
    if group not in PLAIN_GROUPS:
        raise ConfigError(f"{group} lacks the setting '_target_', the class that it builds.")
    files = (CONF_DIR / group).glob("*.yaml")
    known = {str(key) for file in files for key in yaml.safe_load(file.read_text())} - {"defaults"}
    for key, entry in node.items():
        builds, hint = isinstance(entry, dict) and "_target_" in entry, TYPES.get(f"{group}.{key}")
        if key not in known and not builds:
            raise ConfigError(f"{group} has no setting {key!r}{closest(key, known)}")
        if hint is not None and not _refers(entry):
            _check_value(entry, hint, f"{group}.{key}")
        elif hint is None and entry is not None and not builds and not _refers(entry):
            raise ConfigError(f"{group}.{key} must be null or settings with a _target_, got {entry!r}.")


def check_guide(config: Mapping[str, Any], has_critic: bool) -> None:
    """Refuses, before anything is built, a guide that follows a value where there is none.

    Args:
        config: Plain values.
        has_critic: Whether a critic is trained or given.

    Raises:
        ConfigError: there is no critic to follow.
    """
    name = _CRITIC_GUIDES.get(str(config["guide"].get("_target_")).rpartition(".")[2])
    if name is not None and not has_critic:
        raise ConfigError(
            f"guide={name} follows a critic, and this run has none: give critic.path=<run>, train one with "
            "critic=value_critic, or choose guide=no_guide."
        )
    # A critic that is given brings its own measurements.
    critic = config["critic"]
    if name == "calibrated_guide" and critic.get("path") is None and critic.get("held_out") == 0:
        raise ConfigError(
            "guide=calibrated_guide needs a critic that is measured on held-out episodes: add critic.held_out=0.1, or "
            "choose guide=value_guide."
        )


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
    target = node["_target_"]
    if not isinstance(target, str) or "." not in target:
        raise ConfigError(f"{path}._target_ must be the dotted name of a class, got {target!r}.")
    try:
        taken = signature(target)
    except Exception as error:
        module, hint = target.partition(".")[0], ""
        if isinstance(error, ModuleNotFoundError) and error.name == module:
            hint = f"; name the folder of {module}.py in PYTHONPATH"
        raise ConfigError(f"{path}._target_={target} cannot be imported: {_root_cause(error)}{hint}") from error
    for key, value in node.items():
        if key in _HYDRA_KEYS:
            continue
        if key not in taken.parameters and not taken.open_ended:
            raise ConfigError(f"{path} has no setting {key!r}{closest(key, set(taken.parameters))}")
        if value == _MISSING:
            raise ConfigError(f"{path}.{key}=... must be given.")
        if not _refers(value):
            wanted = taken.parameters[key].hint if key in taken.parameters else Any
            _check_value(value, wanted, f"{path}.{key}", target in set(part_targets().values()))
    missing = [name for name, parameter in taken.parameters.items() if parameter.required and name not in node]
    if missing and not node.get("_partial_", False):
        raise ConfigError(f"{path} lacks the setting {missing[0]!r}.")


def _check_value(value: Any, hint: Any, path: str, is_ours: bool = True) -> None:
    """Checks type and range. What the names of a class of the user's mean is the user's matter."""
    # YAML writes whole floats as ints and knows no tuples.
    candidates = [value, _as_float(value)]
    if isinstance(value, list):
        candidates += [tuple(value), [_as_float(item) for item in value], tuple(map(_as_float, value))]
    builds = isinstance(value, dict) and not _is_plain(hint) and ("_target_" in value or not is_ours)
    if not builds and hint is not Any and not any(is_bearable(candidate, hint) for candidate in candidates):
        wanted = getattr(hint, "__name__", None) if not typing.get_args(hint) else str(hint).replace("typing.", "")
        raise ConfigError(f"{path} must be {'a group of settings' if hint is dict else wanted}, got {value!r}.")
    if is_ours:
        check_range(value, path)


def _is_plain(hint: Any) -> bool:
    """Whether a hint means values of YAML alone, which nothing needs to be built for."""
    inner = typing.get_args(hint)
    return hint in (int, float, str, bool, type(None)) or (
        typing.get_origin(hint) is Literal or (bool(inner) and all(map(_is_plain, inner)))
    )


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
