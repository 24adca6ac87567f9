"""Turns settings that a file of any origin holds into plain values of known types, or says which key is wrong.

Nothing in a file is resolved, composed or imported. A file names a part, and the part's class and the types of its
settings come from this package and from diffusers.
"""

import itertools
import math
import re
import reprlib
import typing
from collections.abc import Collection, Iterator
from typing import Any

from diffplan.config.parts import targets_of_group, with_targets
from diffplan.config.ranges import check_range
from diffplan.config.signatures import signature
from diffplan.errors import CheckpointError, ConfigError, closest

_MOST_VALUES, _MOST_LEVELS, _LARGEST_INTEGER = 20_000, 16, 2**63
_KEY = re.compile(r"[\w./@-]{1,100}")
# OmegaConf, terminals and pages give no meaning to these characters.
_WORDS = re.compile(r"[\w .,:;=+@/()&'!#%~^*-]{0,200}")
_LONGEST_TEXT = 4096
_DIFFUSERS_SCHEDULER = re.compile(r"diffusers\.[A-Za-z]\w*Scheduler", re.ASCII)
_PART_KEYS = ("_target_", "_part_")
# A convolutional network takes any number of rows, so no tensor in a file tells whether it is meant.
_MOST_ROWS, _MOST_LEVELS_OF_A_NETWORK = 65_536, 16
_short = reprlib.Repr()
_short.maxlevel, _short.maxlist, _short.maxdict = 2, 4, 3
_short.maxstring = _short.maxother = 60


def plain_settings(node: Any, name: str) -> Any:
    """Copies nested settings that are only kept and shown, never used to build anything.

    Args:
        node: What a file holds.
        name: What messages call it.

    Returns:
        Dictionaries, lists, bool, int, finite float, printable text and None.

    Raises:
        CheckpointError: it holds something else, text that OmegaConf would resolve, or too much; the message names it.
    """
    return _copied(node, name, 0, itertools.count())


def part_settings(group: str, node: Any, name: str, given: Collection[str] = ()) -> dict[str, Any]:
    """Checks the settings of one part against the class that its name stands for.

    Args:
        group: The part's group in ``conf``.
        node: What a file holds: ``_part_`` or ``_target_``, and settings.
        name: What messages call it.
        given: Settings that the caller gives, whatever the file holds.

    Returns:
        The settings, with this package's import path of the class as ``_target_``.

    Raises:
        CheckpointError: it is no such part, or has a wrong, unknown or missing setting.
    """
    if type(node) is not dict:
        raise CheckpointError(f"{name} must be a part with its settings, got {shown(node)}.")
    target = _target(group, node)
    try:
        taken = signature(target)
    except Exception as error:
        # Only diffusers' classes can be missing: the name has been checked, the installed version may not have it.
        raise CheckpointError(f"{name} asks for {target}, which the installed diffusers does not have.") from error
    settings = {}
    for key, value in plain_settings(node, name).items():
        if key in _PART_KEYS or (key == "_partial_" and type(value) is bool):
            continue
        _refuse_parts(value)
        if key not in taken.parameters:
            raise CheckpointError(f"{name} has no setting {key!r}{closest(str(key), set(taken.parameters))}")
        settings[key] = typed(value, taken.parameters[key].hint, f"{name}.{key}")
    for key, parameter in taken.parameters.items():
        if parameter.required and key not in settings and key not in given:
            raise CheckpointError(f"{name} lacks the setting {key!r}.")
    return {"_target_": target, **settings}


def typed(value: Any, hint: Any, name: str) -> Any:
    """Checks one setting that something is built from.

    Args:
        value: What a file holds.
        hint: The type that the setting has; ``Any`` admits a plain value or a list of them.
        name: What messages call it; settings of some names have a range.

    Returns:
        The value. Its text holds only letters, digits, spaces and harmless signs.

    Raises:
        CheckpointError: it has another type, or is outside its range.
    """
    copied = plain_settings(value, name)
    for alternatives in _singles(copied):
        if not any(_fits(single, hint) for single in alternatives):
            raise CheckpointError(f"{name} must be {type_name(hint)}, got {shown(value)}.")
    for leaf in _leaves(copied):
        if isinstance(leaf, str) and (not _WORDS.fullmatch(leaf) or ".." in leaf):
            raise CheckpointError(f"{name} must be a name of letters, digits and plain signs, got {shown(leaf)}.")
    try:
        check_range(copied, name)
    except ConfigError as error:
        raise CheckpointError(str(error)) from error
    if name.endswith("horizon") and copied is not None and copied > _MOST_ROWS:
        raise CheckpointError(f"{name} must be at most {_MOST_ROWS}, got {copied}.")
    if name.endswith("dim_multipliers") and len(copied) > _MOST_LEVELS_OF_A_NETWORK:
        raise CheckpointError(f"{name} may have {_MOST_LEVELS_OF_A_NETWORK} levels, got {len(copied)}.")
    return copied


def shown(value: Any) -> str:
    """Returns what a message shows of a value from a file: short, on one line, without control characters."""
    if type(value) is int and abs(value) >= _LARGEST_INTEGER:
        return "an integer of more than 64 bits"
    try:
        text = _short.repr(value)
    except Exception:
        # The repr of a huge integer in a list, or of a foreign class, may fail.
        text = f"a {type(value).__name__}"
    return text.encode("ascii", "backslashreplace").decode()


def type_name(hint: Any) -> str:
    """Returns what a message calls the type of a setting."""
    if typing.get_args(hint):
        return str(hint).replace("typing.", "").replace("collections.abc.", "")
    return getattr(hint, "__name__", str(hint))


def _target(group: str, node: dict[str, Any]) -> str:
    """Finds the import path of a part among those that the group's yamls offer, and diffusers' schedulers."""
    key = "_target_" if "_target_" in node else "_part_"
    asked = node.get(key)
    if isinstance(asked, str):
        target = with_targets({key: asked})["_target_"]
        if target in targets_of_group(group):
            return target
        if group == "scheduler" and _DIFFUSERS_SCHEDULER.fullmatch(target):
            return target
    raise _foreign(asked)


def _refuse_parts(value: Any) -> None:
    if isinstance(value, dict):
        for key in value:
            if key in _PART_KEYS:
                raise _foreign(value[key])
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        _refuse_parts(item)


def _foreign(asked: Any) -> CheckpointError:
    return CheckpointError(f"the checkpoint asks for {shown(asked)} to be called, which is no part of a model.")


def _copied(node: Any, name: str, level: int, counter: Iterator[int]) -> Any:
    if level > _MOST_LEVELS or next(counter) > _MOST_VALUES:
        raise CheckpointError(f"{name[:100]} holds too many values, or too deeply nested ones.")
    if type(node) is dict:
        # Columns are named by their numbers. Numbers and words in one group could not be sorted.
        are_numbers = all(type(key) is int and 0 <= key < _LARGEST_INTEGER for key in node)
        for key in node:
            if not are_numbers and (type(key) is not str or not _KEY.fullmatch(key)):
                raise CheckpointError(f"{name} has the key {shown(key)}, which is no name of a setting.")
        return {key: _copied(value, f"{name}.{key}", level + 1, counter) for key, value in node.items()}
    if type(node) is list:
        return [_copied(value, name, level + 1, counter) for value in node]
    if type(node) is str:
        if len(node) > _LONGEST_TEXT or not node.isprintable() or "${" in node or node == "???":
            raise CheckpointError(f"{name} must be short printable text that refers to nothing, got {shown(node)}.")
        return node
    if type(node) is int and abs(node) < _LARGEST_INTEGER:
        return node
    if (type(node) is float and math.isfinite(node)) or type(node) is bool or node is None:
        return node
    raise CheckpointError(f"{name} must be a finite number, text, a list or a group of settings, got {shown(node)}.")


def _singles(value: Any) -> Iterator[list[Any]]:
    """Yields each leaf inside collections of one item, as alternatives: whole floats may be written as integers.

    Beartype looks at one item of a collection only, and YAML and JSON know no tuples.
    """
    if isinstance(value, list) and value:
        for alternatives in itertools.chain.from_iterable(map(_singles, value)):
            yield [kind([single]) for single in alternatives for kind in (list, tuple)]
    elif isinstance(value, dict) and value:
        for key, item in value.items():
            for alternatives in _singles(item):
                yield [{key: single} for single in alternatives]
    elif isinstance(value, list):
        yield [value, ()]
    elif isinstance(value, int) and not isinstance(value, bool):
        yield [value, float(value)]
    else:
        yield [value]


def _fits(single: Any, hint: Any) -> bool:
    if hint is Any:
        return not isinstance(single, dict)
    if isinstance(next(_leaves(single), None), bool) and "bool" not in str(hint):
        # Python takes True for an integer.
        return False
    # `--help` does not wait for the type checker.
    from beartype.door import is_bearable

    return is_bearable(single, hint)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _leaves(item)
    else:
        yield value
