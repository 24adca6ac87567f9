import math

import torch
from torch import nn

from diffplan.method.network.blocks import TimeEmbedding


def test_sines_come_first_at_geometric_frequencies_down_to_one_ten_thousandth():
    embedding = TimeEmbedding(32)
    embedding.layers = nn.Identity()
    row = embedding(torch.tensor([7]))[0]
    for k in range(16):
        angle = 7 * math.exp(-k * math.log(10_000) / 15)
        # Single precision of angles up to 7.
        assert abs(row[k] - math.sin(angle)) < 1e-5
        assert abs(row[16 + k] - math.cos(angle)) < 1e-5


def test_each_timestep_has_its_own_row():
    rows = TimeEmbedding(32)(torch.arange(64))
    assert rows.shape == (64, 32)
    assert len(torch.unique(rows, dim=0)) == 64


def test_the_frequencies_are_not_part_of_a_checkpoint():
    assert "frequencies" not in TimeEmbedding(32).state_dict()
