import torch

from diffplan.method.trajectory import TransitionLayout


def test_actions_come_first():
    layout = TransitionLayout(action_dim=2, observation_dim=3)
    actions, observations = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0, 5.0]])
    joined = layout.join(actions, observations)
    assert joined.tolist() == [[1.0, 2.0, 3.0, 4.0, 5.0]]
    assert layout.transition_dim == 5


def test_columns_take_apart_what_join_put_together():
    layout = TransitionLayout(action_dim=2, observation_dim=3)
    actions, observations = torch.randn(4, 8, 2), torch.randn(4, 8, 3)
    joined = layout.join(actions, observations)
    assert torch.equal(joined[..., layout.actions], actions)
    assert torch.equal(joined[..., layout.observations], observations)


def test_a_plan_of_observations_alone_drops_the_actions():
    layout = TransitionLayout(action_dim=0, observation_dim=3)
    observations = torch.randn(4, 3)
    assert torch.equal(layout.join(torch.randn(4, 2), observations), observations)
    assert observations[:, layout.actions].shape == (4, 0)
    assert torch.equal(observations[:, layout.observations], observations)
