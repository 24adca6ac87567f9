import torch

from diffplan.method.guide import NoGuide


def test_it_neither_steers_nor_judges(make_critic):
    guide, trajectories = NoGuide(make_critic()), torch.randn(2, 8, 6)
    assert guide.critic is None
    assert not any(guide.acts_at(timestep) for timestep in range(20))
    assert guide.values(trajectories, torch.tensor(0)) is None
    assert not guide.shift(
        trajectories, torch.tensor(5), torch.tensor(1.0), torch.zeros(1, 8, 6, dtype=torch.bool)
    ).any()
