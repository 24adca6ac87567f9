"""Fast networks: equal to trained ones, with fewer multiplications."""

import copy
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import torch
from torch import nn

from diffplan.method.network.base import AbstractBackbone
from diffplan.method.network.blocks import ConvolutionBlock, ResidualTemporalBlock, TemporalAttention
from diffplan.method.network.fast.blocks import FrozenAttention, FrozenConvolutionBlock, FrozenResidualBlock
from diffplan.method.network.fast.convolution import FrozenConvolution
from diffplan.method.network.value_unet import ValueUnet

Network = TypeVar("Network", AbstractBackbone, ValueUnet)

FROZEN: dict[type[nn.Module], Callable[..., nn.Module]] = {
    ResidualTemporalBlock: FrozenResidualBlock,
    ConvolutionBlock: FrozenConvolutionBlock,
    TemporalAttention: FrozenAttention,
    nn.Conv1d: FrozenConvolution,
    nn.ConvTranspose1d: FrozenConvolution,
}


class FastNetworks:
    """Keeps one fast network for each kind of network; it is made when first needed and again when anything changed."""

    def __init__(self) -> None:
        # For each kind: what the network was made for and of, the network, and the parameters. The parameters are kept
        # so that no others can take their place in memory.
        self._made: dict[type[nn.Module], tuple[list[Any], nn.Module, list[nn.Parameter]]] = {}

    def of(self, network: Network, horizon: int, batch: int) -> Network:
        """Returns the fast equal of a trained network; the arguments are those of ``for_planning``."""
        parameters: list[nn.Parameter] = list(network.parameters())
        key = [horizon, batch, *((id(p), p.data_ptr(), p._version) for p in parameters)]
        if self._made.get(type(network), (None,))[0] != key:
            self._made[type(network)] = (key, for_planning(network, horizon, batch), parameters)
        return self._made[type(network)][1]  # type: ignore[return-value]


def for_planning(network: Network, horizon: int, batch: int = 64) -> Network:
    """Returns a network equal to a trained one, up to rounding, that is cheaper to evaluate and differentiate.

    The result works for one horizon. Its weights are constant, so it has gradients of its input alone and no state to
    save. The given network is not changed. Layers are exchanged for equal ones by their exact type. A layer of another
    type, or one that is called with several lengths, is kept.

    Args:
        network: The trained network, on the device it will plan on.
        horizon: Rows of the plans.
        batch: Approximate number of trajectories in a call (candidates x environments). It affects only the speed.

    Raises:
        HorizonError: the network cannot take the horizon.
    """
    network.check_horizon(horizon)
    planning = copy.deepcopy(network).eval().requires_grad_(False)
    lengths = _lengths(planning, horizon)
    for parent, name, layer in list(_exchangeable(planning)):
        if len(lengths.get(layer, ())) == 1:
            (length,) = lengths[layer]
            setattr(parent, name, FROZEN[type(layer)](layer, length, batch))
    return planning


def _lengths(network: nn.Module, horizon: int) -> dict[nn.Module, set[int]]:
    """Finds out with how many rows each layer is called."""
    lengths: dict[nn.Module, set[int]] = {}

    def note(layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        lengths.setdefault(layer, set()).add(inputs[0].shape[-1])

    hooks = [layer.register_forward_pre_hook(note) for layer in network.modules() if type(layer) in FROZEN]
    parameter = next(network.parameters())
    transition_dim = cast(int, network.transition_dim)
    with torch.no_grad():
        # Two trajectories, because PyTorch refuses to normalise groups of a single value.
        trajectories = parameter.new_zeros(2, horizon, transition_dim)
        timesteps = torch.zeros(1, dtype=torch.long, device=parameter.device)
        network(trajectories, timesteps)
    for hook in hooks:
        hook.remove()
    return lengths


def _exchangeable(parent: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    """Yields the outermost layers that can be exchanged for a cheaper equal."""
    for name, child in parent.named_children():
        if type(child) in FROZEN and _is_plain(child):
            yield parent, name, child
        else:
            yield from _exchangeable(child)


def _is_plain(layer: nn.Module) -> bool:
    """Whether every convolution in a layer has one group and pads with a given number of zeros."""
    convolutions = [part for part in layer.modules() if isinstance(part, nn.Conv1d | nn.ConvTranspose1d)]
    return all(
        part.groups == 1 and part.padding_mode == "zeros" and not isinstance(part.padding, str) for part in convolutions
    )
