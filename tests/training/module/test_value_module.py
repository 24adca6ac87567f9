from functools import partial

import lightning
import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler

from diffplan.data.datamodule import TrajectoryDataModule
from diffplan.data.source.base import Episode
from diffplan.errors import HorizonError
from diffplan.method.average import ExponentialMovingAverage
from diffplan.method.conditioning import FirstState
from diffplan.method.critic import ReturnTarget, TrajectoryCritic
from diffplan.method.network.value_unet import ValueUnet
from diffplan.method.normalizer import LimitsNormalizer
from diffplan.method.objective import ValueLoss
from diffplan.method.trajectory import TrajectoryBatch, TransitionLayout
from diffplan.training.modules import ValueModule
from tests.training.module.conftest import CircleSource

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*in eval mode at the start of training.*"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated:FutureWarning"),
]


class RewardedSource(CircleSource):
    """The faster the walk, the greater its reward."""

    def episodes(self):
        for episode in super().episodes():
            rewards = np.full(len(episode), episode.actions[0, 0], np.float32)
            yield Episode(episode.observations, episode.actions, rewards, False, True)


class Losses(lightning.Callback):
    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append(outputs["loss"].item())


def value_module(horizon: int = 8, network_horizon: int = 8, **settings) -> ValueModule:
    torch.manual_seed(0)
    critic = TrajectoryCritic(
        backbone=ValueUnet(3, network_horizon, 8, (1, 8)),
        normalizer=LimitsNormalizer(3),
        scheduler=DDPMScheduler(20, beta_schedule="squaredcos_cap_v2", prediction_type="sample"),
        layout=TransitionLayout(1, 2),
        horizon=horizon,
        stride=1,
        target=ReturnTarget(0.9, -10.0),
        conditioning=FirstState(),
    )
    settings = {
        "loss": ValueLoss(),
        "optimizer": partial(torch.optim.Adam, lr=3e-3),
        "learning_rate_schedule": None,
        "average": partial(ExponentialMovingAverage, decay=0.9, update_every=1, start_step=5),
        **settings,
    }
    return ValueModule(critic, seed=0, **settings)


def fit(module: ValueModule, max_steps: int) -> list[float]:
    data = TrajectoryDataModule(
        RewardedSource(), module.normalizer, 1, 2, 8, 1, batch_size=16, seed=0, returns=module.fresh.target
    )
    losses = Losses()
    lightning.Trainer(
        accelerator="cpu", max_steps=max_steps, max_epochs=-1, callbacks=[losses], logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    ).fit(module, data)  # fmt: skip
    return losses.losses


@pytest.mark.parametrize("normalize_targets", [False, True])
def test_training_teaches_it_which_windows_are_worth_more(normalize_targets):
    module = value_module(normalize_targets=normalize_targets)
    losses = fit(module, 200)
    assert np.mean(losses[-20:]) < 0.75 * np.mean(losses[:20])
    windows = TrajectoryDataModule(
        RewardedSource(), LimitsNormalizer(3), 1, 2, 8, 1, batch_size=16, seed=0, returns=module.fresh.target
    )
    windows.setup("fit")
    batch = windows.windows.batch(torch.arange(0, len(windows.windows), 7), 0)
    with torch.no_grad():
        values = module.critic().values(batch.trajectories, torch.tensor([0]))
    assert np.corrcoef(values, batch.returns)[0, 1] > 0.8
    # In units of reward, whatever the network was trained on.
    assert values.mean().item() == pytest.approx(batch.returns.mean().item(), rel=0.25)


def test_normalised_targets_span_minus_one_to_one():
    module = value_module(normalize_targets=True)
    fit(module, 1)
    windows = module.trainer.datamodule.windows
    least, most = windows.return_range()
    assert module.value_offset.item() == pytest.approx((least + most) / 2)
    assert module.value_scale.item() == pytest.approx((most - least) / 2)


def test_the_loss_is_the_error_of_the_return_whatever_the_noise():
    module = value_module()

    class Constant(torch.nn.Module):
        def forward(self, trajectories, timesteps):
            return torch.full((len(trajectories),), 2.0)

    module.backbone = Constant()
    returns = torch.tensor([1.0, 5.0])
    batch = TrajectoryBatch(torch.randn(2, 8, 3), torch.ones(2, 8, dtype=torch.bool), 0, returns)
    module._log = lambda numbers: None
    assert module.training_step(batch, 0).item() == pytest.approx((1.0 + 9.0) / 2)


def test_a_network_of_another_horizon_is_refused():
    with pytest.raises(HorizonError, match="plans of 16 rows only, got horizon=8"):
        value_module(horizon=8, network_horizon=16)


def test_batches_without_returns_are_a_programming_error():
    batch = TrajectoryBatch(torch.randn(2, 8, 3), torch.ones(2, 8, dtype=torch.bool), 0)
    with pytest.raises(RuntimeError, match="batches with returns"):
        value_module().training_step(batch, 0)
