"""Names of the parts in an exported model: the stem of their yaml and their settings, never an import path."""

import inspect
import logging
import pkgutil
import re
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from diffplan.config.parts import part_targets, with_part_names
from diffplan.config.stored_settings import part_settings, shown, typed
from diffplan.errors import CheckpointError

# Arguments of constructors that come from the model and the caller, not from the settings.
_NOT_SETTINGS = {"transition_dim", "scheduler", "num_inference_steps"}
_PLAIN = (bool, int, float, str, type(None), list, tuple, dict)

logger = logging.getLogger(__name__)

PartEntry = str | Mapping[str, Any]


def part_entry(part: object) -> PartEntry:
    """Names a part: the stem of its class, with its settings if it has any.

    A setting is an argument of the constructor that the object keeps as an attribute of the same name.

    Raises:
        CheckpointError: The object does not keep an argument, or its value is no plain value.
    """
    kind, settings = type(part), {}
    for name, parameter in inspect.signature(kind.__init__).parameters.items():
        if name in _NOT_SETTINGS | {"self"} or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        value = getattr(part, name, inspect.Parameter.empty)
        if not isinstance(value, _PLAIN):
            raise CheckpointError(
                f"a {kind.__name__} cannot be exported: it must keep its argument {name!r} as an attribute of that "
                "name, with a plain value."
            )
        settings[name] = value
    return {"part": _stem(kind), "settings": settings} if settings else _stem(kind)


def build_part(group: str, entry: PartEntry, own: Sequence[type], *given: Any) -> Any:
    """Builds a part from its name. Only classes of this package and those passed by the caller are built.

    Args:
        group: The part's group in ``conf``.
        entry: What ``part_entry`` returned. The stem may lack the group: ``gaussian`` for ``gaussian_normalizer``.
        own: Further classes that may be built.
        given: First arguments of the constructor.

    Raises:
        CheckpointError: No such class is known, or the settings do not fit it.
    """
    kind, settings = check_part(group, entry, own)
    try:
        return kind(*given, **settings)
    except TypeError as error:
        raise CheckpointError(f"the settings of {group} {entry!r} do not fit its class: {error}.") from error


def check_part(group: str, entry: PartEntry, own: Sequence[type]) -> tuple[Any, dict[str, Any]]:
    """Finds the class of a part, and refuses settings that its constructor does not take.

    Args:
        group: The part's group in ``conf``.
        entry: What ``part_entry`` returned.
        own: Further classes that may be built.

    Returns:
        The class and its settings.

    Raises:
        CheckpointError: No such class is known, or the settings do not fit it.
    """
    stem, settings = split_entry(entry)
    known: dict[str, Any] = _targets(group) | {_stem(kind): kind for kind in own}
    found = known.get(stem, known.get(f"{stem}_{group}"))
    if found is None:
        raise CheckpointError(
            f"the exported model has the {group} {stem!r}; known are {', '.join(sorted(known))}. Pass a class of your "
            "own with parts=(...)."
        )
    kind = pkgutil.resolve_name(found) if isinstance(found, str) else found
    try:
        hints = typing.get_type_hints(kind.__init__)
    except NameError:  # A class of somebody else may name types that only its type checker knows.
        hints = {}
    taken = inspect.signature(kind).parameters.keys() - _NOT_SETTINGS
    for key in settings:
        if key not in taken:
            raise CheckpointError(f"the settings of {group} {stem!r} do not fit its class: it takes no {shown(key)}.")
    return kind, {key: typed(value, hints.get(key, Any), f"{group}.{key}") for key, value in settings.items()}


def sampler_of_run(node: Any, scheduler: Any) -> Any:
    """Builds the sampler that a run plans with, to be named in its export.

    Args:
        node: The run's settings of the sampler, with ``_target_``.
        scheduler: Scheduler of the model.

    Returns:
        The sampler. None for the unguided one, since every sampler draws the same without a guide, and for a class
        outside this package.

    Raises:
        CheckpointError: its settings cannot be used.
    """
    if not isinstance(node, Mapping):
        raise CheckpointError("the checkpoint does not say which sampler its model plans with.")
    stem = str(with_part_names(node).get("_part_", node.get("_target_")))
    if stem == "sampler/unguided_sampler":
        return None
    if not stem.startswith("sampler/"):
        logger.warning("%s is not a sampler of this package: the export names none, pass guidance_rule=...", stem)
        return None
    own = {key: value for key, value in node.items() if key not in _NOT_SETTINGS}
    settings = part_settings("sampler", own, "sampler", given=_NOT_SETTINGS)
    del settings["_target_"]
    return build_part("sampler", {"part": stem.removeprefix("sampler/"), "settings": settings}, (), scheduler, None)


def part_name(group: str, entry: PartEntry) -> str:
    """Returns the stem of the yaml in ``conf`` that offers a part.

    Raises:
        CheckpointError: No yaml of the group offers it, or the settings do not fit it.
    """
    stem, _ = split_entry(entry)
    check_part(group, entry, ())
    return stem if stem in _targets(group) else f"{stem}_{group}"


def split_entry(entry: PartEntry) -> tuple[str, dict[str, Any]]:
    """Returns the stem and the settings of a part."""
    return (entry, {}) if isinstance(entry, str) else (str(entry["part"]), dict(entry.get("settings", {})))


def _targets(group: str) -> dict[str, str]:
    return {name.rpartition("/")[2]: path for name, path in part_targets().items() if name.startswith(f"{group}/")}


def _stem(kind: type) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
