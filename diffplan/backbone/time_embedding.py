import math

import torch
from einops import rearrange
from torch import Tensor, nn

from diffplan.shapes import Embedding, Timesteps


class TimeEmbedding(nn.Module):
    """Embeds a diffusion timestep: sinusoids, then a two-layer network.

    Args:
        dim: Width of the embedding; half of it sines, half cosines.

    Reference: Diffuser, released code (``time_mlp``); the sinusoids of Vaswani et al. 2017.
    """

    frequencies: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        half = dim // 2
        self.register_buffer(
            "frequencies", torch.exp(torch.arange(half) * -(math.log(10_000) / (half - 1))), persistent=False
        )
        self.layers = nn.Sequential(nn.Linear(dim, 4 * dim), nn.Mish(), nn.Linear(4 * dim, dim))

    def forward(self, timesteps: Timesteps) -> Embedding:
        """Returns one row a timestep; a single timestep gives a single row that broadcasts over the batch."""
        angles = rearrange(timesteps, "batch -> batch 1") * self.frequencies
        return self.layers(torch.cat([angles.sin(), angles.cos()], dim=-1))
