"""The names of the classes that ``conf`` offers: each is known by its yaml, never by where its code lies.

A *part* is a class that a yaml of this package names with ``_target_``. Its name is the yaml's folder and stem, as in
``backbone/temporal_unet``; a class that has no yaml of its own is called by its group and its own name, as in
``critic/return_target``. There is no list to edit: the names are read from the yamls.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from diffplan.config.paths import CONF_DIR

_TARGET = re.compile(r"^( *)_target_: *([\w.]+)", re.MULTILINE)
_OWN = "diffplan."
# The first runs were hashed with import paths, `diffplan.<group>.<stem>.<class>` but for these three classes.
_FIRST_PATHS = {
    "average/exponential_moving_average": "diffplan.module.exponential_moving_average.ExponentialMovingAverage",
    "critic/return_target": "diffplan.return_target.ReturnTarget",
    "body/task": "diffplan.task.Task",
}


@cache
def part_targets() -> Mapping[str, str]:
    """Returns the import path of every part by the part's name."""
    targets: dict[str, str] = {}
    for path in sorted(CONF_DIR.glob("*/*.yaml")):
        for indent, target in _TARGET.findall(path.read_text()):
            name, stem = target.rpartition(".")[2], path.stem
            if not target.startswith(_OWN) and indent:
                continue
            if target.startswith(_OWN) and stem.replace("_", "") != name.lower():
                stem = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
            targets[f"{path.parent.name}/{stem}"] = target
    return targets


def targets_of_group(group: str) -> set[str]:
    """Returns the import paths of all parts of one group."""
    return {target for name, target in part_targets().items() if name.startswith(f"{group}/")}


def with_part_names(node: Any) -> Any:
    """Copies plain settings with ``_part_`` and the part's name in place of the ``_target_`` of every known part."""
    return _mapped(node, _part_entry)


def with_targets(node: Any) -> Any:
    """Copies plain settings with the present import path of every known part, whatever names the part there.

    Settings name parts by ``_part_``, or by the ``_target_`` of an older version. What is not known is kept.
    """
    return _mapped(node, lambda key, value: ("_target_", _present_target(key, value)))


def with_first_names(node: Any) -> Any:
    """Copies plain settings with every part's import path of the first version, so that hashes survive moves."""
    return _mapped(node, lambda key, value: ("_target_", _first_target(key, value)))


def with_whole_modules(config: Mapping[str, Any]) -> dict[str, Any]:
    """Copies a training's config with each module's network and data settings written into the module.

    The first version stored and hashed them so. A config that has them already, or has no data, is not changed.

    Args:
        config: Plain values of ``conf/train.yaml``, or those of its groups that a module is made of.
    """
    whole, critic = dict(config), config.get("critic")
    if "datamodule" not in config:
        return whole
    if config.get("module") and "backbone" not in config["module"]:
        whole["module"] = _whole_module(config["module"], config["backbone"], {}, config)
    if critic and critic.get("module") and "backbone" not in critic["module"]:
        target = {"target": critic["target"]}
        whole["critic"] = critic | {"module": _whole_module(critic["module"], critic["backbone"], target, config)}
    return whole


def _whole_module(
    module: Mapping[str, Any], backbone: Any, target: dict[str, Any], config: Mapping[str, Any]
) -> dict[str, Any]:
    data = config["datamodule"]
    first = {"_target_": module["_target_"], "backbone": backbone}
    first |= {key: config[key] for key in ("scheduler", "conditioning")}
    first |= {"loss": module["loss"], "normalizer": config["normalizer"]} | target
    first |= {key: data[key] for key in ("action_dim", "observation_dim", "horizon", "stride")}
    return first | {key: value for key, value in module.items() if key != "_partial_"}


def _mapped(node: Any, rename: Callable[[str, str], tuple[str, str]]) -> Any:
    if isinstance(node, Mapping):
        pairs = (
            rename(key, value) if key in ("_target_", "_part_") and isinstance(value, str)
            else (key, _mapped(value, rename))
            for key, value in node.items()
        )  # fmt: skip
        return dict(pairs)
    if isinstance(node, list):
        return [_mapped(value, rename) for value in node]
    return node


@cache
def _names() -> Mapping[str, str]:
    """Names of parts: of this package's by the class, of other packages' by the import path."""
    names: dict[str, str] = {}
    for name, target in part_targets().items():
        names.setdefault(target.rpartition(".")[2] if target.startswith(_OWN) else target, name)
    return names


def _name_of(target: str) -> str | None:
    return _names().get(target.rpartition(".")[2] if target.startswith(_OWN) else target)


def _part_entry(key: str, value: str) -> tuple[str, str]:
    name = _name_of(value) if key == "_target_" else None
    return (key, value) if name is None else ("_part_", name)


def _present_target(key: str, value: str) -> str:
    name = value if key == "_part_" else _name_of(value)
    return part_targets().get(name, value) if name is not None else value


def _first_target(key: str, value: str) -> str:
    name = value if key == "_part_" else _name_of(value)
    target = part_targets().get(name or "", value)
    if name is None or not target.startswith(_OWN):
        return target
    return _FIRST_PATHS.get(name, f"{_OWN}{name.replace('/', '.')}.{target.rpartition('.')[2]}")
