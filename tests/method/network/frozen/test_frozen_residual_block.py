import pytest
import torch

from diffplan.method.network.blocks import ResidualTemporalBlock
from diffplan.method.network.fast.blocks import FrozenResidualBlock


@pytest.mark.parametrize("embeddings", [1, 3])
@pytest.mark.parametrize("out_channels", [8, 16])
def test_it_equals_the_trained_block(out_channels, embeddings):
    trained = ResidualTemporalBlock(8, out_channels, 12).double()
    features = torch.randn(3, 8, 4, dtype=torch.float64)
    embedding = torch.randn(embeddings, 12, dtype=torch.float64)
    kept = features.clone()
    frozen = FrozenResidualBlock(trained, 4, 64).requires_grad_(False)
    with torch.no_grad():
        torch.testing.assert_close(frozen(features, embedding), trained(features, embedding), atol=1e-12, rtol=0)
    assert torch.equal(features, kept)
