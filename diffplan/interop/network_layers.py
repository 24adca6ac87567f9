"""The layers of the two networks: their names here, in the original repository and in diffusers, and their sizes."""

import re
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from diffplan.errors import CheckpointError

Kind = Literal["denoiser", "critic"]
Dialect = Literal["original", "diffusers"]
# The name of a layer here, in the original repository, and in ``UNet1DModel``, or None if that has no such layer.
# ``#`` stands for the number of a level.
_Names = tuple[str, str, str | None]

_TIME: list[_Names] = [
    ("time_embedding.layers.0", "time_mlp.1", "time_mlp.linear_1"),
    ("time_embedding.layers.2", "time_mlp.3", "time_mlp.linear_2"),
]
_RESIDUAL_BLOCK: list[_Names] = [
    ("first.convolution", "blocks.0.block.0", "conv_in.conv1d"),
    ("first.normalization", "blocks.0.block.2", "conv_in.group_norm"),
    ("second.convolution", "blocks.1.block.0", "conv_out.conv1d"),
    ("second.normalization", "blocks.1.block.2", "conv_out.group_norm"),
    ("time.1", "time_mlp.1", "time_emb"),
    ("residual", "residual_conv", "residual_conv"),
]
_ATTENTION: list[_Names] = [
    ("normalization", "fn.norm", None),
    ("to_qkv", "fn.fn.to_qkv", None),
    ("to_out", "fn.fn.to_out", None),
]


def _in(layers: list[_Names], ours: str, original: str, diffusers: str = "") -> list[_Names]:
    """Names the layers of a block as parts of the network."""
    return [(f"{ours}.{a}", f"{original}.{b}", c and f"{diffusers}.{c}") for a, b, c in layers]


def _denoiser_level(part: str, theirs: str, resample: str) -> list[_Names]:
    return [
        *_in(_RESIDUAL_BLOCK, f"{part}.#.first", f"{part}.#.0", f"{theirs}.#.resnets.0"),
        *_in(_RESIDUAL_BLOCK, f"{part}.#.second", f"{part}.#.1", f"{theirs}.#.resnets.1"),
        *_in(_ATTENTION, f"{part}.#.attention", f"{part}.#.2"),
        (f"{part}.#.resample", f"{part}.#.3.conv", f"{theirs}.#.{resample}.conv"),
    ]


_LAYERS: dict[Kind, list[_Names]] = {
    "denoiser": [
        *_TIME,
        *_denoiser_level("downs", "down_blocks", "downsample"),
        *_denoiser_level("ups", "up_blocks", "upsample"),
        *_in(_RESIDUAL_BLOCK, "middle_first", "mid_block1", "mid_block.resnets.0"),
        *_in(_ATTENTION, "middle_attention", "mid_attn"),
        *_in(_RESIDUAL_BLOCK, "middle_second", "mid_block2", "mid_block.resnets.1"),
        ("head.0.convolution", "final_conv.0.block.0", "out_block.final_conv1d_1"),
        ("head.0.normalization", "final_conv.0.block.2", "out_block.final_conv1d_gn"),
        ("head.1", "final_conv.1", "out_block.final_conv1d_2"),
    ],
    "critic": [
        *_TIME,
        *_in(_RESIDUAL_BLOCK, "levels.#.first", "blocks.#.0", "down_blocks.#.resnets.0"),
        *_in(_RESIDUAL_BLOCK, "levels.#.second", "blocks.#.1", "down_blocks.#.resnets.1"),
        ("levels.#.down", "blocks.#.2.conv", "down_blocks.#.downsample.conv"),
        *_in(_RESIDUAL_BLOCK, "middle_first", "mid_block1", "mid_block.res1"),
        ("middle_first_down", "mid_down1.conv", "mid_block.down1.conv"),
        *_in(_RESIDUAL_BLOCK, "middle_second", "mid_block2", "mid_block.res2"),
        ("middle_second_down", "mid_down2.conv", "mid_block.down2.conv"),
        ("head.0", "final_block.0", "out_block.final_block.0"),
        ("head.2", "final_block.2", "out_block.final_block.2"),
    ],
}


def parameter_names(kind: Kind, num_levels: int, dialect: Dialect) -> dict[str, str]:
    """Maps another library's names to ours, for every parameter that a network with these levels can have."""
    names: dict[str, str] = {}
    for ours, original, diffusers in _LAYERS[kind]:
        theirs = original if dialect == "original" else diffusers
        if theirs is None:
            continue
        # The original's layer normalisation is its own class, with its own names.
        parameters = ("g", "b") if theirs.endswith("fn.norm") else ("weight", "bias")
        for level in range(num_levels if "#" in ours else 1):
            own = ours.replace("#", str(level)).replace(f"downs.{num_levels - 1}.", "bottom.")
            for parameter, meaning in zip(parameters, ("weight", "bias"), strict=True):
                names[f"{theirs.replace('#', str(level))}.{parameter}"] = f"{own}.{meaning}"
    return names


def translate(weights: Mapping[str, Tensor], kind: Kind, dialect: Dialect, source: object) -> dict[str, Tensor]:
    """Renames another library's weights to ours.

    Args:
        weights: By the other library's names.
        kind: Network that they must be of.
        dialect: Whose names they are.
        source: Where the weights are from, for messages.

    Raises:
        CheckpointError: The weights are of another network; the message names one of them.
    """
    level = "down_blocks" if dialect == "diffusers" else "downs" if kind == "denoiser" else "blocks"
    num_levels = _count(weights, level)
    if not num_levels:
        raise CheckpointError(f"{source} holds no {kind}.")
    names = parameter_names(kind, num_levels, dialect)
    if foreign := [name for name in weights if name not in names]:
        raise CheckpointError(f"{source} has weights that no {kind} here has: {foreign[0]!r:.200}.")
    # The original stores the gain and bias of a layer normalisation with two axes of length 1 around the channels.
    return {
        names[name]: torch.flatten(value) if name.endswith((".g", ".b")) else value for name, value in weights.items()
    }


def network_settings(weights: Mapping[str, Tensor], kind: Kind, horizon: int | None = None) -> dict[str, Any]:
    """Returns the constructor's arguments of a ``TemporalUnet`` or ``ValueUnet``, read from its weights.

    Args:
        weights: By our names.
        kind: Network that they must be of.
        horizon: Rows of the plans that a critic judges. Its weights do not determine the horizon, because several
            horizons have heads of the same width.

    Raises:
        CheckpointError: The weights are of another network; the message names a missing one.
    """
    if kind == "denoiser":
        levels = [*(f"downs.{level}" for level in range(_count(weights, "downs"))), "bottom"]
    else:
        levels = [f"levels.{level}" for level in range(_count(weights, "levels") or 1)]
    names = ["time_embedding.layers.0.weight", *(f"{level}.first.first.convolution.weight" for level in levels)]
    if missing := [name for name in names if name not in weights]:
        raise CheckpointError(f"the weights are no {kind}'s: {missing[0]} is missing.")
    if wrong := [name for name in names if weights[name].ndim != (2 if name == names[0] else 3)]:
        raise CheckpointError(f"the weights are no {kind}'s: {wrong[0]} has shape {tuple(weights[wrong[0]].shape)}.")
    dim, first = weights[names[0]].shape[1], [weights[name] for name in names[1:]]
    widths, kernel_size = [weight.shape[0] for weight in first], first[0].shape[2]
    if not dim or dim % 8 or not kernel_size % 2:
        raise CheckpointError(
            f"the weights are no {kind}'s: its base width is {dim}, which must be a multiple of 8, and its "
            f"convolutions have width {kernel_size}, which must be odd."
        )
    if any(width % dim for width in widths):
        raise CheckpointError(f"the levels' widths {widths} are no multiples of the base width {dim}.")
    own = {"attention": "middle_attention.to_qkv.weight" in weights} if kind == "denoiser" else {"horizon": horizon}
    return {
        "transition_dim": first[0].shape[1],
        "dim": dim,
        "dim_multipliers": [width // dim for width in widths],
        "kernel_size": kernel_size,
        **own,
    }


def _count(weights: Mapping[str, Tensor], part: str) -> int:
    return len({found[1] for name in weights if (found := re.match(rf"{part}\.(\d+)\.", name))})
