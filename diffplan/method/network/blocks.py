"""The building blocks of the temporal U-Net and the critic."""

import math

import torch
from einops import rearrange
from einops.layers.torch import Rearrange
from jaxtyping import Float
from torch import Tensor, nn

from diffplan.method.shapes import Embedding, Features, Timesteps


class ConvolutionBlock(nn.Module):
    """Convolution over time, group normalisation over channels and the whole time axis, Mish.

    Args:
        in_channels: Features in.
        out_channels: Features out, divisible by ``num_groups``.
        kernel_size: Odd; the length is kept.
        num_groups: Groups of the normalisation.

    Reference: Diffuser, figure A1 (``Conv1d -> GN -> Mish``).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 5, num_groups: int = 8) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        self.normalization = nn.GroupNorm(num_groups, out_channels)
        self.activation = nn.Mish()

    def forward(
        self, features: Float[Tensor, "batch in_channels horizon"]
    ) -> Float[Tensor, "batch out_channels horizon"]:
        """Keeps batch and length."""
        return self.activation(self.normalization(self.convolution(features)))


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
        """Returns one row per timestep. The row of a single timestep broadcasts over the batch."""
        angles = rearrange(timesteps, "batch -> batch 1") * self.frequencies
        return self.layers(torch.cat([angles.sin(), angles.cos()], dim=-1))


class ResidualTemporalBlock(nn.Module):
    """Two convolution blocks with the timestep added between them, and a residual path.

    Args:
        in_channels: Features in.
        out_channels: Features out.
        embedding_dim: Width of the timestep embedding.
        kernel_size: Convolution width in plan rows.

    Reference: Diffuser, figure A1.
    """

    def __init__(self, in_channels: int, out_channels: int, embedding_dim: int, kernel_size: int = 5) -> None:
        super().__init__()
        self.first = ConvolutionBlock(in_channels, out_channels, kernel_size)
        self.second = ConvolutionBlock(out_channels, out_channels, kernel_size)
        self.time = nn.Sequential(nn.Mish(), nn.Linear(embedding_dim, out_channels), Rearrange("b c -> b c 1"))
        self.residual = nn.Conv1d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()

    def forward(
        self, features: Float[Tensor, "batch in_channels horizon"], embedding: Embedding
    ) -> Float[Tensor, "batch out_channels horizon"]:
        """Keeps batch and length."""
        return self.second(self.first(features) + self.time(embedding)) + self.residual(features)


class TemporalAttention(nn.Module):
    """Residual linear attention over plan rows, whose cost grows with the horizon and not with its square.

    Args:
        channels: Features in and out.
        num_heads: Attention heads.
        head_dim: Features of each head.

    Reference: Diffuser, released code (``Residual(PreNorm(LinearAttention))``, HalfCheetah models); linear
        attention of Shen et al. 2021. Queries are scaled, not soft-maxed, as in the released code.
    """

    def __init__(self, channels: int, num_heads: int = 4, head_dim: int = 32) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.scale = head_dim**-0.5
        self.normalization = nn.LayerNorm(channels)
        self.to_qkv = nn.Conv1d(channels, 3 * num_heads * head_dim, 1, bias=False)
        self.to_out = nn.Conv1d(num_heads * head_dim, channels, 1)

    def forward(self, features: Features) -> Features:
        """Keeps batch, channels and length."""
        normalized = rearrange(
            self.normalization(rearrange(features, "batch channel row -> batch row channel")),
            "batch row channel -> batch channel row",
        )
        query, key, value = rearrange(
            self.to_qkv(normalized), "batch (part head c) row -> part batch head c row", part=3, head=self.num_heads
        )
        context = torch.einsum("bhkn,bhvn->bhkv", key.softmax(dim=-1), value)
        attended = torch.einsum("bhkv,bhkn->bhvn", context, query * self.scale)
        return features + self.to_out(rearrange(attended, "batch head c row -> batch (head c) row"))
