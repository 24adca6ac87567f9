import torch
from einops import rearrange
from torch import nn

from diffplan.backbone.temporal_attention import TemporalAttention
from diffplan.shapes import Features


class FrozenAttention(nn.Module):
    """Equals a trained ``TemporalAttention``, on memory in rows first.

    Args:
        attention: The trained layer.
        length: Rows it will be given.
        batch: Trajectories it will be given at a time; nothing here depends on it.
    """

    def __init__(self, attention: TemporalAttention, length: int, batch: int) -> None:
        super().__init__()
        self.trained = attention
        # (q k) v instead of q (k v): the products of matrices associate, and short plans have few rows.
        self.pairs_of_rows = 2 * length <= attention.to_qkv.out_channels // (3 * attention.num_heads)

    def forward(self, features: Features) -> Features:
        """Keeps batch, channels and length."""
        trained = self.trained
        rows = rearrange(features, "batch channel row -> row batch channel").contiguous()
        projected = torch.nn.functional.linear(trained.normalization(rows), trained.to_qkv.weight.squeeze(2))
        query, key, value = rearrange(
            projected, "row batch (part head c) -> part batch head row c", part=3, head=trained.num_heads
        )
        query, key = query * trained.scale, key.softmax(dim=2)
        if self.pairs_of_rows:
            attended = (query @ key.transpose(2, 3)) @ value
        else:
            attended = query @ (key.transpose(2, 3) @ value)
        attended = rearrange(attended, "batch head row c -> row batch (head c)")
        rows = rows + torch.nn.functional.linear(attended, trained.to_out.weight.squeeze(2), trained.to_out.bias)
        return rearrange(rows, "row batch channel -> batch channel row")
