import torch
from torch.utils.flop_counter import FlopCounterMode

from diffplan.method.network.temporal_unet import TemporalUnet
from diffplan.method.network.value_unet import ValueUnet
from diffplan.planner.cost import FlopCounter


def test_it_counts_a_matrix_product():
    with FlopCounter() as counter:
        torch.ones(3, 4) @ torch.ones(4, 5)
    assert counter.total == 2 * 3 * 4 * 5


def test_it_counts_what_pytorch_s_own_counter_counts():
    network, trajectories = TemporalUnet(6, 8, (1, 2)), torch.randn(2, 8, 6)
    with torch.no_grad(), FlopCounterMode(display=False) as trusted:
        network(trajectories, torch.tensor([3]))
    with torch.no_grad(), FlopCounter() as counter:
        network(trajectories, torch.tensor([3]))
    assert counter.total == trusted.get_total_flops() > 0


def test_it_counts_gradients_with_respect_to_the_input():
    network = ValueUnet(6, 8, 8, (1, 8)).requires_grad_(False)
    trajectories = torch.randn(2, 8, 6, requires_grad=True)
    with FlopCounter() as forward:
        total = network(trajectories, torch.tensor([3])).sum()
    with FlopCounter() as backward:
        torch.autograd.grad(total, trajectories)
    # The input gradient of a convolution costs about what the convolution does; those of weights are not asked for.
    assert 0.8 * forward.total < backward.total < 1.5 * forward.total
