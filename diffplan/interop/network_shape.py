"""Reads the sizes of a network from its weights."""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from diffplan.errors import CheckpointError, DiffplanError
from diffplan.method.network.temporal_unet import TemporalUnet
from diffplan.method.network.value_unet import ValueUnet


def denoiser_settings(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Returns the constructor's arguments of a ``TemporalUnet``, read from its weights.

    Args:
        weights: By our names.

    Raises:
        CheckpointError: they are not the weights of a denoiser.
    """
    _need(weights, "bottom.first.first.convolution.weight", "denoiser")
    dim = _need(weights, "time_embedding.layers.0.weight", "denoiser").shape[1]
    levels = [*(f"downs.{level}" for level in range(_count(weights, "downs"))), "bottom"]
    first = [_need(weights, f"{level}.first.first.convolution.weight", "denoiser") for level in levels]
    return {
        "transition_dim": first[0].shape[1],
        "dim": dim,
        "dim_multipliers": _multipliers(first, dim),
        "attention": "middle_attention.to_qkv.weight" in weights,
        "kernel_size": first[0].shape[2],
    }


def critic_settings(weights: Mapping[str, Tensor], horizon: int) -> dict[str, Any]:
    """Returns the constructor's arguments of a ``ValueUnet``, read from its weights.

    Args:
        weights: By our names.
        horizon: Rows of the plans it judges. Weights do not tell it: several horizons have heads of the same width.

    Raises:
        CheckpointError: they are not the weights of a critic.
    """
    dim = _need(weights, "time_embedding.layers.0.weight", "critic").shape[1]
    count = _count(weights, "levels")
    first = [_need(weights, f"levels.{level}.first.first.convolution.weight", "critic") for level in range(count)]
    if not first:
        raise CheckpointError("the weights are no critic's: they have no levels.")
    return {
        "transition_dim": first[0].shape[1],
        "horizon": horizon,
        "dim": dim,
        "dim_multipliers": _multipliers(first, dim),
        "kernel_size": first[0].shape[2],
    }


def rebuild_denoiser(weights: Mapping[str, Tensor]) -> TemporalUnet:
    """Builds the denoiser that holds the given weights.

    Raises:
        CheckpointError: no denoiser has such weights.
    """
    return _fill(TemporalUnet, denoiser_settings(weights), weights, "denoiser")


def rebuild_critic(weights: Mapping[str, Tensor], horizon: int) -> ValueUnet:
    """Builds the critic that holds the given weights.

    Args:
        weights: By our names.
        horizon: Rows of the plans it judges.

    Raises:
        CheckpointError: no critic of this horizon has such weights.
    """
    return _fill(ValueUnet, critic_settings(weights, horizon), weights, f"critic of {horizon} rows")


def _fill(build: Any, settings: dict[str, Any], weights: Mapping[str, Tensor], what: str) -> Any:
    try:
        network = build(**settings)
        network.load_state_dict(dict(weights))
    except (DiffplanError, RuntimeError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise CheckpointError(f"the weights fit no {what}: {' '.join(lines[:2])[:200].rstrip('.: ')}.") from error
    return network.eval()


def _need(weights: Mapping[str, Tensor], name: str, what: str) -> Tensor:
    if name not in weights:
        raise CheckpointError(f"the weights are no {what}'s: {name} is missing.")
    return weights[name]


def _count(weights: Mapping[str, Tensor], part: str) -> int:
    found = {match.group(1) for name in weights if (match := re.match(rf"{part}\.(\d+)\.", name))}
    return len(found)


def _multipliers(convolutions: list[Tensor], dim: int) -> list[int]:
    widths = [weight.shape[0] for weight in convolutions]
    if any(width % dim for width in widths):
        raise CheckpointError(f"the levels' widths {widths} are no multiples of the base width {dim}.")
    return [width // dim for width in widths]
