"""Trains a small Diffuser for a maze and plans with it, in plain PyTorch: no Lightning, no Hydra.

Run ``python examples/train_in_thirty_lines.py``. It generates its own data and takes about a minute on a CPU.
"""

import torch
from diffusers import DDPMScheduler

from diffplan.data.source.maze2d_source import Maze2DSource
from diffplan.data.windows import TrajectoryWindow, WindowIndex
from diffplan.method.conditioning import StartAndGoal
from diffplan.method.model import TrajectoryModel
from diffplan.method.network.temporal_unet import TemporalUnet
from diffplan.method.normalizer import LimitsNormalizer
from diffplan.method.objective import DenoisingLoss, DenoisingObjective, batch_generator
from diffplan.method.sampler.guided_samplers import UnguidedSampler
from diffplan.method.trajectory import TransitionLayout


def train(steps: int = 1000, data_dir: str = "datasets", rows: int = 20_000) -> tuple[TrajectoryModel, list[float]]:
    """Trains a model whose plans are 32 observations, one every fourth step of the maze; returns it and its losses."""
    source = Maze2DSource("maze2d-umaze-v1", num_transitions=rows, data_dir=data_dir)
    source.prepare()
    data, normalizer = source.read(), LimitsNormalizer(transition_dim=4)
    normalizer.fit(data.observations)
    observations = normalizer.normalize(torch.from_numpy(data.observations))
    index = WindowIndex(data.lengths, horizon=32, stride=4)
    windows = TrajectoryWindow.of_index(index, observations, padding_row=torch.zeros(4))

    torch.manual_seed(0)
    network = TemporalUnet(transition_dim=4, dim=16, dim_multipliers=(1, 4))
    scheduler = DDPMScheduler(16, beta_schedule="squaredcos_cap_v2", prediction_type="sample")
    layout = TransitionLayout(action_dim=0, observation_dim=4)
    model = TrajectoryModel(network, normalizer, scheduler, StartAndGoal(), layout, horizon=32, stride=4)
    objective = DenoisingObjective(model, DenoisingLoss(horizon=32, action_dim=0, observation_dim=4))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    losses = []
    for number in range(steps):
        batch = windows.batch(torch.randint(len(windows), (32,)), number)
        loss = objective(network, batch, batch_generator(seed=0, number=number)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return model, losses


def plan(model: TrajectoryModel, start: list[float], goal: list[float]) -> torch.Tensor:
    """Draws one plan from start to goal, each x, y and two velocities; returns 32 raw observations."""
    given = model.normalizer.normalize(torch.tensor([[start, goal]]))
    conditions = model.conditioning.from_observations(given, model.horizon, model.layout)
    drawn = UnguidedSampler(model.scheduler).sample(model, conditions, [torch.Generator().manual_seed(0)])
    return model.normalizer.unnormalize(drawn)[0]


if __name__ == "__main__":
    model, losses = train()
    print(f"loss {sum(losses[:50]) / 50:.3f} at the beginning, {sum(losses[-50:]) / 50:.3f} at the end")
    print(plan(model, start=[1.0, 1.0, 0.0, 0.0], goal=[3.0, 1.0, 0.0, 0.0])[:, :2])
