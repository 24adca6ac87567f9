import pytest
import torch
from torch import nn

from diffplan.method.network.blocks import TemporalAttention


@pytest.mark.parametrize(("channels", "expected"), [(32, 16_480), (128, 65_920), (256, 131_840)])
def test_it_has_the_released_module_s_size(channels, expected):
    assert sum(parameter.numel() for parameter in TemporalAttention(channels).parameters()) == expected


def test_it_adds_to_its_input():
    attention, features = TemporalAttention(8), torch.randn(2, 8, 5)
    for parameter in attention.to_out.parameters():
        nn.init.zeros_(parameter)
    assert torch.equal(attention(features), features)


def test_it_equals_linear_attention_written_out_head_by_head():
    attention, features = TemporalAttention(8, num_heads=2, head_dim=4), torch.randn(1, 8, 5)
    rows = features[0].T
    variance, mean = torch.var_mean(rows, dim=1, keepdim=True, correction=0)
    normalized = (rows - mean) / (variance + 1e-5).sqrt()
    query, key, value = (normalized @ attention.to_qkv.weight[:, :, 0].T).split(8, dim=1)
    heads = []
    for head in range(2):
        columns = slice(4 * head, 4 * head + 4)
        context = key[:, columns].softmax(dim=0).T @ value[:, columns]
        heads.append(query[:, columns] @ context / 4**0.5)
    expected = rows + torch.cat(heads, dim=1) @ attention.to_out.weight[:, :, 0].T + attention.to_out.bias
    torch.testing.assert_close(attention(features)[0].T, expected, atol=1e-5, rtol=0)


def test_it_treats_all_rows_alike():
    attention, features = TemporalAttention(8), torch.randn(2, 8, 6)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(attention(features)[:, :, order], attention(features[:, :, order]), atol=1e-6, rtol=0)
