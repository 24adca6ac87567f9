"""The bare training loop of ``examples`` runs, and its losses are those of the Lightning module."""

import runpy
from functools import partial
from pathlib import Path

import lightning
import pytest
import torch
from diffusers import DDPMScheduler

from diffplan.data.datamodule import TrajectoryDataModule
from diffplan.data.source.maze2d_source import Maze2DSource
from diffplan.method.average import ExponentialMovingAverage
from diffplan.method.conditioning import FirstState, StartAndGoal
from diffplan.method.critic import ReturnTarget, TrajectoryCritic
from diffplan.method.model import TrajectoryModel
from diffplan.method.network.temporal_unet import TemporalUnet
from diffplan.method.network.value_unet import ValueUnet
from diffplan.method.normalizer import LimitsNormalizer
from diffplan.method.objective import DenoisingLoss, DenoisingObjective, ValueLoss, ValueObjective, batch_generator
from diffplan.training.modules import DiffuserModule, ValueModule
from diffplan.training.stages import readable_console

EXAMPLE = Path(__file__).parents[1] / "examples" / "train_in_thirty_lines.py"
STEPS = 6


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


def test_it_trains_and_plans_from_start_to_goal(data_dir):
    example = runpy.run_path(str(EXAMPLE))
    model, losses = example["train"](steps=60, data_dir=str(data_dir), rows=3000)
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])
    plan = example["plan"](model, start=[1.0, 1.0, 0.0, 0.0], goal=[3.0, 1.0, 0.0, 0.0])
    assert plan.shape == (32, 4)
    torch.testing.assert_close(plan[[0, -1], :2], torch.tensor([[1.0, 1.0], [3.0, 1.0]]), atol=1e-5, rtol=0)


class Losses(lightning.Callback):
    """Notes the loss of every batch."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append(outputs["loss"].item())


def fresh(kind: str, data_dir):
    """Data, an untrained model or critic, its loss, and what the module and the objective are."""
    source = Maze2DSource("maze2d-umaze-v1", num_transitions=3000, data_dir=data_dir)
    source.prepare()
    target = ReturnTarget(0.9, -10.0) if kind == "critic" else None
    data = TrajectoryDataModule(source, LimitsNormalizer(6), 2, 4, 8, 1, batch_size=16, seed=5, returns=target)
    scheduler = DDPMScheduler(8, beta_schedule="squaredcos_cap_v2", prediction_type="sample")
    torch.manual_seed(1)
    if kind == "critic":
        network = ValueUnet(6, 8, 8, (1, 8))
        parts = TrajectoryCritic(
            network, data.normalizer, scheduler, data.layout, 8, 1, target, conditioning=FirstState()
        )
        return data, parts, ValueLoss(), ValueModule, ValueObjective
    network = TemporalUnet(6, dim=8, dim_multipliers=(1, 2))
    parts = TrajectoryModel(network, data.normalizer, scheduler, StartAndGoal(), data.layout, 8, 1)
    return data, parts, DenoisingLoss(8, 2, 4, action_weight=10.0), DiffuserModule, DenoisingObjective


@pytest.mark.parametrize("kind", ["denoiser", "critic"])
def test_a_bare_loop_has_the_losses_of_the_lightning_module(kind, data_dir):
    data, parts, loss, make_module, _ = fresh(kind, data_dir)
    adam, average = partial(torch.optim.Adam, lr=1e-3), ExponentialMovingAverage
    module, noted = make_module(parts, loss, adam, None, average, seed=3), Losses()
    with readable_console():
        lightning.Trainer(
            accelerator="cpu", max_steps=STEPS, max_epochs=-1, callbacks=[noted], logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        ).fit(module, data)  # fmt: skip

    data, parts, loss, _, make_objective = fresh(kind, data_dir)
    data.setup("fit")
    objective, optimizer, losses = make_objective(parts, loss), adam(parts.backbone.parameters()), []
    for batch in data.stream(torch.device("cpu"), STEPS):
        value = objective(parts.backbone, batch, batch_generator(3, batch.number)).loss
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    # The same numbers to the last bit.
    assert losses == noted.losses
    assert all(
        torch.equal(a, b) for a, b in zip(parts.backbone.parameters(), module.backbone.parameters(), strict=True)
    )
