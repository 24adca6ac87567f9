"""The slow average of a network's weights that planning uses."""

import copy

import torch
from torch import Tensor, nn


class ExponentialMovingAverage(nn.Module):
    """A copy of a network whose weights follow the trained weights slowly; planning uses the copy.

    The copy is a plain submodule, so checkpoints hold it beside the live weights. Weights are never swapped, so no
    callback can see the wrong ones.

    Args:
        network: The live network.
        decay: Share of the average kept at an update.
        update_every: Optimiser steps between updates.
        start_step: Until this step the average is a copy.

    Reference: Diffuser, released code: decay 0.995, every 10 steps, copies before step 2000.
    """

    def __init__(
        self, network: nn.Module, decay: float = 0.995, update_every: int = 10, start_step: int = 2000
    ) -> None:
        super().__init__()
        self.average = copy.deepcopy(network).requires_grad_(False).eval()
        self.decay = decay
        self.update_every = update_every
        self.start_step = start_step

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Moves the average towards the live network after optimiser step ``step`` (the first step is 0)."""
        if step % self.update_every:
            return
        average: list[Tensor] = list(self.average.parameters())
        live: list[Tensor] = [parameter.detach() for parameter in network.parameters()]
        torch._foreach_lerp_(average, live, 1.0 if step < self.start_step else 1.0 - self.decay)

    def train(self, mode: bool = True) -> "ExponentialMovingAverage":
        """Stays in evaluation mode."""
        return super().train(False)
