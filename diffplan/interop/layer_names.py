"""Names of each layer of the two networks: here, in the original repository and in diffusers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Dialect = Literal["original", "diffusers"]


@dataclass(frozen=True)
class LayerName:
    """One layer with weights.

    Attributes:
        ours: Its name in ``TemporalUnet`` or ``ValueUnet``.
        original: Its name in the original's ``TemporalUnet`` or ``ValueFunction``.
        diffusers: Its name in ``UNet1DModel``; None where that has no such layer.
    """

    ours: str
    original: str
    diffusers: str | None

    def under(self, ours: str, original: str, diffusers: str | None) -> "LayerName":
        """Returns the same layer as part of a larger block."""
        inner = None if self.diffusers is None or diffusers is None else f"{diffusers}.{self.diffusers}"
        return LayerName(f"{ours}.{self.ours}", f"{original}.{self.original}", inner)


_TIME = [
    LayerName("time_embedding.layers.0", "time_mlp.1", "time_mlp.linear_1"),
    LayerName("time_embedding.layers.2", "time_mlp.3", "time_mlp.linear_2"),
]
_RESIDUAL_BLOCK = [
    LayerName("first.convolution", "blocks.0.block.0", "conv_in.conv1d"),
    LayerName("first.normalization", "blocks.0.block.2", "conv_in.group_norm"),
    LayerName("second.convolution", "blocks.1.block.0", "conv_out.conv1d"),
    LayerName("second.normalization", "blocks.1.block.2", "conv_out.group_norm"),
    LayerName("time.1", "time_mlp.1", "time_emb"),
    LayerName("residual", "residual_conv", "residual_conv"),
]
_ATTENTION = [
    LayerName("normalization", "fn.norm", None),
    LayerName("to_qkv", "fn.fn.to_qkv", None),
    LayerName("to_out", "fn.fn.to_out", None),
]


def denoiser_layers(num_levels: int) -> list[LayerName]:
    """Lists every layer that a denoiser with this number of levels can have; some lack residual paths or attention."""
    layers = list(_TIME)
    for level in range(num_levels):
        last = level == num_levels - 1
        layers += _level("bottom" if last else f"downs.{level}", f"downs.{level}", f"down_blocks.{level}")
        if not last:
            layers.append(
                LayerName(f"downs.{level}.resample", f"downs.{level}.3.conv", f"down_blocks.{level}.downsample.conv")
            )
    for level in range(num_levels - 1):
        layers += _level(f"ups.{level}", f"ups.{level}", f"up_blocks.{level}")
        layers.append(LayerName(f"ups.{level}.resample", f"ups.{level}.3.conv", f"up_blocks.{level}.upsample.conv"))
    layers += _block("middle_first", "mid_block1", "mid_block.resnets.0")
    layers += [name.under("middle_attention", "mid_attn", None) for name in _ATTENTION]
    layers += _block("middle_second", "mid_block2", "mid_block.resnets.1")
    return [
        *layers,
        LayerName("head.0.convolution", "final_conv.0.block.0", "out_block.final_conv1d_1"),
        LayerName("head.0.normalization", "final_conv.0.block.2", "out_block.final_conv1d_gn"),
        LayerName("head.1", "final_conv.1", "out_block.final_conv1d_2"),
    ]


def critic_layers(num_levels: int) -> list[LayerName]:
    """Lists every layer that a critic with this number of levels can have."""
    layers = list(_TIME)
    for level in range(num_levels):
        for block, number in (("first", 0), ("second", 1)):
            layers += _block(
                f"levels.{level}.{block}", f"blocks.{level}.{number}", f"down_blocks.{level}.resnets.{number}"
            )
        layers.append(
            LayerName(f"levels.{level}.down", f"blocks.{level}.2.conv", f"down_blocks.{level}.downsample.conv")
        )
    for block, number in (("first", 1), ("second", 2)):
        layers += _block(f"middle_{block}", f"mid_block{number}", f"mid_block.res{number}")
        layers.append(LayerName(f"middle_{block}_down", f"mid_down{number}.conv", f"mid_block.down{number}.conv"))
    return [
        *layers,
        LayerName("head.0", "final_block.0", "out_block.final_block.0"),
        LayerName("head.2", "final_block.2", "out_block.final_block.2"),
    ]


def parameter_names(layers: list[LayerName], dialect: Dialect) -> dict[str, str]:
    """Maps another library's parameter names to ours, for weights and biases alike."""
    names: dict[str, str] = {}
    for layer in layers:
        theirs = layer.original if dialect == "original" else layer.diffusers
        if theirs is not None:
            names |= {f"{theirs}.{kind}": f"{layer.ours}.{kind}" for kind in ("weight", "bias")}
    if dialect == "original":
        # The original's layer normalisation is its own class, with its own names.
        for layer in layers:
            if layer.original.endswith("fn.norm"):
                names |= {f"{layer.original}.g": f"{layer.ours}.weight", f"{layer.original}.b": f"{layer.ours}.bias"}
    return names


def translate(weights: Mapping[str, Tensor], layers: list[LayerName], dialect: Dialect) -> dict[str, Tensor]:
    """Renames another library's weights to ours.

    Args:
        weights: By the other library's names.
        layers: Of the network.
        dialect: Whose names they are.

    Raises:
        KeyError: naming a weight that such a network does not have.
    """
    names = parameter_names(layers, dialect)
    translated = {}
    for name, value in weights.items():
        # A gain or bias over channels alone is stored with two axes of length 1 around it.
        is_norm = dialect == "original" and name.endswith(("fn.norm.g", "fn.norm.b"))
        translated[names[name]] = torch.flatten(value) if is_norm else value
    return translated


def _level(ours: str, original: str, diffusers: str) -> list[LayerName]:
    layers = []
    for block, number in (("first", 0), ("second", 1)):
        layers += _block(f"{ours}.{block}", f"{original}.{number}", f"{diffusers}.resnets.{number}")
    return layers + [name.under(f"{ours}.attention", f"{original}.2", None) for name in _ATTENTION]


def _block(ours: str, original: str, diffusers: str) -> list[LayerName]:
    return [name.under(ours, original, diffusers) for name in _RESIDUAL_BLOCK]
