from functools import partial

import lightning
import pytest
import torch
from diffusers import EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler, PNDMScheduler

from diffplan.errors import ConfigError, HorizonError
from diffplan.method.average import ExponentialMovingAverage
from diffplan.method.network.base import AbstractBackbone
from diffplan.method.trajectory import TrajectoryBatch

# Lightning's advice does not concern batches made in memory nor an average that is only ever evaluated, and its use of
# a deprecated function of PyTorch is not ours to change.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
    pytest.mark.filterwarnings("ignore:.*in eval mode at the start of training.*"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated:FutureWarning"),
]


class Recorder(lightning.Callback):
    """Remembers losses and weights after every batch."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.live: list[torch.Tensor] = []
        self.average: list[torch.Tensor] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append(outputs["loss"].item())
        self.live.append(pl_module.backbone.head[1].weight.detach().clone())
        self.average.append(pl_module.average.average.head[1].weight.clone())


class Remembering(AbstractBackbone):
    """Predicts one number and keeps its inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.level = torch.nn.Parameter(torch.zeros(()))

    def check_horizon(self, horizon):
        return None

    def forward(self, trajectories, timesteps):
        self.noisy, self.timesteps = trajectories.detach(), timesteps
        return self.level.expand_as(trajectories)


def batch(number: int, size: int = 4096) -> TrajectoryBatch:
    clean = torch.linspace(-1, 1, size * 24).reshape(size, 8, 3)
    return TrajectoryBatch(clean, torch.ones(size, 8, dtype=torch.bool), number)


def step(make_module, number: int, **settings):
    """One training step outside of a trainer."""
    module = make_module(backbone=Remembering(), **settings)
    module._log = lambda *numbers: None
    loss = module.training_step(batch(number), 0)
    return module, loss


@pytest.mark.parametrize("prediction_type", ["sample", "epsilon", "v_prediction"])
def test_training_lowers_the_loss(prediction_type, make_module, fit):
    recorder = Recorder()
    optimizer = partial(torch.optim.Adam, lr=1e-2)
    fit(make_module(prediction_type=prediction_type, optimizer=optimizer), 50, [recorder])
    # Loose for the noise of single batches; without learning the ratio is one.
    assert sum(recorder.losses[-10:]) < 0.93 * sum(recorder.losses[:10])


def test_the_same_seed_trains_the_same_weights_and_another_does_not(make_module, fit):
    runs = [Recorder(), Recorder(), Recorder()]
    for recorder, seed in zip(runs, (1, 1, 2), strict=True):
        fit(make_module(seed=seed), 5, [recorder])
    assert runs[0].losses == runs[1].losses
    assert torch.equal(runs[0].live[-1], runs[1].live[-1])
    assert runs[0].losses != runs[2].losses


def test_noise_and_timesteps_are_a_function_of_the_seed_and_the_batch_s_number(make_module):
    def drawn(number, seed):
        module, _ = step(make_module, number, seed=seed)
        return module.backbone.noisy, module.backbone.timesteps

    first = drawn(3, 0)
    torch.manual_seed(99)
    again = drawn(3, 0)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    for number, seed in ((4, 0), (3, 1)):
        other = drawn(number, seed)
        assert not torch.equal(first[0], other[0])
        assert not torch.equal(first[1], other[1])


def test_every_timestep_is_drawn_equally_often(make_module):
    module, _ = step(make_module, 0)
    counts = torch.bincount(module.backbone.timesteps, minlength=20)
    assert len(counts) == 20
    # 4096 draws of 20: five standard deviations around 205.
    assert (counts - 4096 / 20).abs().max() < 70


def test_the_network_sees_clean_states_where_they_are_given_and_noise_of_its_timestep_elsewhere(make_module):
    module, _ = step(make_module, 0)
    noisy, clean = module.backbone.noisy, batch(0).trajectories
    assert torch.equal(noisy[:, 0, 1:], clean[:, 0, 1:])
    signal = module.fresh.scheduler.alphas_cumprod[module.backbone.timesteps][:, None, None]
    noise = (noisy - signal.sqrt() * clean) / (1 - signal).sqrt()
    noise = torch.cat([noise[:, 1:].flatten(), noise[:, 0, :1].flatten()])
    # 90,112 standard normals.
    assert noise.mean().abs() < 0.02
    assert noise.std().item() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize(
    ("prediction_type", "expected"),
    [
        # A network that says 0 has the mean square of its target for a loss: noise has 1, uniform data on [-1, 1] 1/3.
        ("epsilon", 1.0),
        ("sample", 1 / 3),
    ],
)
def test_the_loss_is_against_the_target_of_the_prediction_type(prediction_type, expected, make_module):
    _, loss = step(make_module, 0, prediction_type=prediction_type)
    # 21 free entries of weight one and a first action of weight ten, of 24; two given ones count as zero.
    assert loss.item() == pytest.approx(expected * (21 + 10) / 24, rel=0.03)


def test_the_average_copies_before_its_start_and_follows_after_each_optimiser_step(make_module, fit):
    recorder = Recorder()
    fit(make_module(), 8, [recorder])
    for number in range(5):
        assert torch.equal(recorder.average[number], recorder.live[number])
    expected = recorder.average[4]
    for number in range(5, 8):
        expected = torch.lerp(expected, recorder.live[number], 0.1)
        torch.testing.assert_close(recorder.average[number], expected, atol=1e-6, rtol=0)


def test_with_accumulated_gradients_the_average_counts_optimiser_steps(make_module, fit):
    recorder = Recorder()
    module = make_module(average=partial(ExponentialMovingAverage, decay=0.9, update_every=2, start_step=100))
    trainer = fit(module, 4, [recorder], accumulate_grad_batches=2)
    assert trainer.global_step == 4
    assert len(recorder.losses) == 8
    # Copied after optimiser steps 0 and 2, that is behind micro-batches 1 and 5.
    assert torch.equal(recorder.average[1], recorder.live[1])
    assert torch.equal(recorder.average[4], recorder.live[1])
    assert torch.equal(recorder.average[7], recorder.live[5])
    assert not torch.equal(recorder.average[7], recorder.live[7])


def test_planners_get_the_averaged_weights_and_the_data_s_statistics(make_module, fit):
    module = make_module()
    fit(module, 8)
    model = module.model()
    assert model.backbone is module.average.average
    assert not model.backbone.training
    assert not torch.equal(model.backbone.head[1].weight, module.backbone.head[1].weight)
    # Cosines and sines reach from -1 to 1; speeds from 0.1 to 0.5.
    torch.testing.assert_close(model.normalizer.offset[:1], torch.tensor([0.3]))
    torch.testing.assert_close(model.normalizer.scale, torch.tensor([0.2, 1.0, 1.0]), atol=1e-2, rtol=0)
    assert (model.horizon, model.stride, model.layout.transition_dim) == (8, 1, 3)


def test_the_learning_rate_schedule_moves_every_optimiser_step(make_module, fit):
    schedule = partial(torch.optim.lr_scheduler.LinearLR, start_factor=1.0, end_factor=0.5, total_iters=4)
    module = make_module(learning_rate_schedule=schedule)
    trainer = fit(module, 4, accumulate_grad_batches=2)
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.5 * 3e-3)


def test_what_is_logged_is_the_loss_the_first_action_s_loss_and_the_learning_rate(make_module, fit):
    trainer = fit(make_module(), 4, log_every_n_steps=2)
    assert set(trainer.logged_metrics) == {"train/loss", "train/first_action_loss", "train/learning_rate"}
    assert trainer.logged_metrics["train/learning_rate"] == pytest.approx(3e-3)


def test_a_horizon_that_the_network_cannot_take_is_refused_at_construction(make_module):
    with pytest.raises(HorizonError, match="horizon=7"):
        make_module(horizon=7)


def test_a_scheduler_that_cannot_serve_is_refused_at_construction(make_module):
    with pytest.raises(ConfigError, match="PNDMScheduler cannot denoise plans"):
        make_module(scheduler=PNDMScheduler(20))


@pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")
def test_a_scheduler_that_samples_in_sigmas_trains_on_the_same_noise(make_module):
    sigmas = EulerDiscreteScheduler(20, beta_schedule="squaredcos_cap_v2", prediction_type="sample")
    seen = [step(make_module, 0, **settings)[0].backbone.noisy for settings in ({}, {"scheduler": sigmas})]
    assert torch.equal(*seen)


def test_a_flow_is_trained_on_straight_lines_from_clean_to_noise(make_module):
    module, loss = step(make_module, 0, scheduler=FlowMatchEulerDiscreteScheduler(20))
    noisy, clean = module.backbone.noisy, batch(0).trajectories
    assert torch.equal(noisy[:, 0, 1:], clean[:, 0, 1:])
    amount = ((module.backbone.timesteps + 1) / 20)[:, None, None]
    noise = ((noisy - (1 - amount) * clean) / amount)[:, 1:]
    assert noise.mean().abs() < 0.02
    assert noise.std().item() == pytest.approx(1.0, abs=0.02)
    # A network that says 0 has the mean square of noise minus clean for a loss, weighted as for every other target.
    assert loss.item() == pytest.approx((1 + 1 / 3) * (21 + 10) / 24, rel=0.03)
