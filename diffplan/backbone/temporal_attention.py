import torch
from einops import rearrange
from torch import nn

from diffplan.shapes import Features


class TemporalAttention(nn.Module):
    """Residual linear attention over plan rows: cost grows with the horizon, not with its square.

    Args:
        channels: Features in and out.
        num_heads: Attention heads.
        head_dim: Features a head.

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
