"""Values and changes that a hostile or damaged file may hold."""

import copy
import random
from collections.abc import Iterator
from typing import Any

from fault import Inputs


def hostile_values(inputs: Inputs) -> list[Any]:
    """Returns values that run code, leak, hang or confuse where a program trusts them."""
    touch = {"_target_": "pathlib.Path.touch", "_args_": [{"_target_": "pathlib.Path", "_args_": [str(inputs.marker)]}]}
    return [
        touch,
        {"_target_": "builtins.open", "file": str(inputs.marker), "mode": "w"},
        {"_target_": "numpy.load", "file": str(inputs.marker), "allow_pickle": True},
        f"${{oc.create:{{_target_: builtins.open, file: {inputs.marker}, mode: w}}}}",
        f"${{oc.env:{inputs.secret_variable}}}",
        "${task.name}",
        "${",
        str(inputs.secret_file),
        f"{inputs.escape}name",
        "[red]name[/red]",
        "</script><script>alert(1)</script>",
        "../../outside",
        "a" * 300,
        "",
        "\\u0000",
        "name\nname",
        float("nan"),
        float("inf"),
        -1,
        0,
        0.5,
        10**9,
        10**30,
        True,
        None,
        [],
        {},
        [[1]],
        nested(60),
        {1: 2},
    ]


def nested(depth: int) -> Any:
    """Returns a list in a list in a list..."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def leaves(node: Any, path: tuple = ()) -> Iterator[tuple]:
    """Yields the path of every leaf and every inner node of nested dictionaries and lists."""
    if path:
        yield path
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from leaves(value, (*path, key))


def replaced(node: Any, path: tuple, value: Any) -> Any:
    """Copies nested dictionaries and lists with one value replaced."""
    changed = copy.deepcopy(node)
    _parent(changed, path)[path[-1]] = value
    return changed


def removed(node: Any, path: tuple) -> Any:
    """Copies nested dictionaries and lists without one entry."""
    changed = copy.deepcopy(node)
    del _parent(changed, path)[path[-1]]
    return changed


def flipped(content: bytes, rng: random.Random, first: int = 0, last: int | None = None) -> bytes:
    """Copies bytes with one bit between two places flipped."""
    changed = bytearray(content)
    changed[rng.randrange(first, len(content) if last is None else last)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _parent(node: Any, path: tuple) -> Any:
    for key in path[:-1]:
        node = node[key]
    return node
