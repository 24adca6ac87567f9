"""Checks tensors that came from a file: plain, of bounded size, finite, and those that a network or a table needs."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from diffplan.errors import CheckpointError

# The largest of the paper's networks has 62 million numbers in 300 tensors.
_MOST_NUMBERS, _MOST_TENSORS = 2**30, 10_000
_MOST_STEPS = 100_000
_PRECISIONS = (torch.float32, torch.float16, torch.bfloat16)


def check_sizes(shapes: Mapping[str, Sequence[int]], source: object) -> None:
    """Refuses tensors that no network here has, before their memory is taken.

    Args:
        shapes: By name.
        source: Where the tensors are from, for messages.

    Raises:
        CheckpointError: There are too many, or they are too large.
    """
    if len(shapes) > _MOST_TENSORS:
        raise CheckpointError(
            f"{source} holds {len(shapes):,} tensors, and a network here has {_MOST_TENSORS:,} at most."
        )
    total = sum(map(math.prod, shapes.values()))
    if total > _MOST_NUMBERS:
        raise CheckpointError(f"{source} holds {total:,} numbers, and a network here has {_MOST_NUMBERS:,} at most.")


def plain_tensors(content: Any, source: object) -> dict[str, Tensor]:
    """Returns tensors in single precision if they are plain ones of finite numbers.

    Args:
        content: What a file held.
        source: The file, for messages.

    Raises:
        CheckpointError: It is no mapping of names to such tensors; the message names the first one that is not.
    """
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        raise CheckpointError(f"{source} holds no weights by name.")
    for name, value in content.items():
        # A view can claim more numbers than it has memory for.
        if not isinstance(value, Tensor) or value.layout != torch.strided or not value.is_contiguous():
            raise CheckpointError(f"{source} holds {name!r}, which is no plain tensor.")
        if value.dtype not in _PRECISIONS or value.device.type != "cpu":
            raise CheckpointError(f"{source} holds {name!r} of type {value.dtype}, and weights have single precision.")
    check_sizes({name: value.shape for name, value in content.items()}, source)
    check_finite(content, source)
    return {name: value.detach().float() for name, value in content.items()}


def check_finite(tensors: Mapping[str, Tensor], source: object) -> None:
    """Refuses tensors that hold NaN or infinity.

    Args:
        tensors: By name.
        source: What holds them, for messages.

    Raises:
        CheckpointError: The message names the first such tensor.
    """
    for name, value in tensors.items():
        if not bool(torch.isfinite(value).all()):
            raise CheckpointError(f"{source} holds {name!r} with numbers that are not finite.")


def check_same_shapes(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor], source: object, what: str) -> None:
    """Refuses tensors of other names or shapes than are needed.

    Args:
        wanted: What is needed; the tensors may have no memory.
        given: What the source holds.
        source: Where the tensors are from, for messages.
        what: Whose tensors they must be, for messages.

    Raises:
        CheckpointError: The message names the first difference.
    """
    for name, value in wanted.items():
        if name not in given:
            raise CheckpointError(f"the weights in {source} fit no {what}: {name!r} is missing.")
        if given[name].shape != value.shape:
            raise CheckpointError(
                f"the weights in {source} fit no {what}: {name!r} has shape {tuple(given[name].shape)}, and "
                f"{tuple(value.shape)} is needed."
            )
    if foreign := _first(given.keys() - wanted.keys()):
        raise CheckpointError(f"the weights in {source} fit no {what}: it has no {foreign!r}.")


def check_statistics(offset: Tensor, scale: Tensor, source: object) -> None:
    """Refuses statistics that cannot normalise: not finite, or a scale that is not above 0.

    Args:
        offset: Of each column.
        scale: Of each column.
        source: What holds them, for messages.

    Raises:
        CheckpointError: The message names the first wrong column.
    """
    check_finite({"offset": offset, "scale": scale}, source)
    if len(wrong := (scale <= 0).nonzero()):
        column = int(wrong[0])
        raise CheckpointError(
            f"{source} holds 'scale' of {float(scale[column]):g} in column {column}, which must be above 0."
        )


def check_noise(alphas_cumprod: Tensor, source: object) -> None:
    """Refuses noise levels that no training has: they begin above 0, never exceed 1, and never rise.

    Args:
        alphas_cumprod: By timestep; the last may be 0.
        source: What holds them, for messages.

    Raises:
        CheckpointError: They are no noise levels.
    """
    levels = alphas_cumprod
    is_plain = levels.ndim == 1 and 0 < len(levels) <= _MOST_STEPS and bool(torch.isfinite(levels).all())
    if not (is_plain and 0 < levels[0] <= 1 and levels[-1] >= 0 and bool((levels.diff() <= 0).all())):
        raise CheckpointError(f"{source} holds 'alphas_cumprod' that are no noise levels, which fall from 1 towards 0.")


def _first(names: Iterable[str]) -> str | None:
    return min(names, default=None)
