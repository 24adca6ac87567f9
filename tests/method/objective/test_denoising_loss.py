import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler

from diffplan.errors import ConfigError
from diffplan.method.conditioning import Conditions, FirstState, StartAndGoal
from diffplan.method.network.temporal_unet import TemporalUnet
from diffplan.method.noise.schedule import training_target
from diffplan.method.objective import DenoisingLoss
from diffplan.method.trajectory import TransitionLayout

NOTHING_GIVEN = torch.zeros(1, 4, 5, dtype=torch.bool)
ALL_VALID = torch.ones(2, 4, dtype=torch.bool)


def loss(**settings) -> DenoisingLoss:
    return DenoisingLoss(**{"horizon": 4, "action_dim": 2, "observation_dim": 3, **settings})


def test_the_released_weights_are_one_but_for_the_first_action():
    weights = loss(action_weight=10.0).weights
    assert weights[0].tolist() == [10, 10, 1, 1, 1]
    assert (weights[1:] == 1.0).all()


def test_discounted_rows_have_mean_one_and_the_first_action_s_weight_is_set_not_multiplied():
    weights = loss(discount=0.5, action_weight=7.0, observation_weights={1: 4.0}).weights
    gamma = torch.tensor([1.0, 0.5, 0.25, 0.125]) / (1.875 / 4)
    torch.testing.assert_close(weights[:, 2], gamma)
    torch.testing.assert_close(weights[:, 3], 4.0 * gamma)
    torch.testing.assert_close(weights[1:, 0], gamma[1:])
    assert weights[0, :2].tolist() == [7.0, 7.0]
    assert weights[:, 2].mean().item() == pytest.approx(1.0)


@pytest.mark.parametrize(("kind", "error"), [("l2", 9.0), ("l1", 3.0)])
def test_the_loss_is_the_mean_over_all_entries(kind, error):
    prediction, target = torch.full((2, 4, 5), 3.0), torch.zeros(2, 4, 5)
    terms = loss(kind=kind)(prediction, target, NOTHING_GIVEN, ALL_VALID)
    assert terms.loss.item() == pytest.approx(error)
    assert terms.first_action_loss.item() == pytest.approx(error)


def test_the_first_action_s_loss_is_logged_without_its_weight():
    prediction = torch.zeros(2, 4, 5)
    prediction[:, 0, :2] = 3.0
    terms = loss(action_weight=10.0)(prediction, torch.zeros(2, 4, 5), NOTHING_GIVEN, ALL_VALID)
    assert terms.first_action_loss.item() == pytest.approx(9.0)
    assert terms.loss.item() == pytest.approx(10.0 * 9.0 * 2 / 20)


def test_without_planned_actions_there_is_no_first_action_loss():
    zeros = torch.zeros(2, 4, 3)
    terms = loss(action_dim=0)(zeros, zeros, NOTHING_GIVEN[..., :3], ALL_VALID)
    assert terms.first_action_loss is None


@pytest.mark.parametrize("prediction_type", ["sample", "epsilon", "v_prediction"])
@pytest.mark.parametrize("conditioning", [FirstState(), StartAndGoal()])
def test_given_entries_have_exactly_no_gradient_whatever_is_predicted(prediction_type, conditioning):
    scheduler = DDPMScheduler(20, beta_schedule="squaredcos_cap_v2", prediction_type=prediction_type)
    clean, noise = torch.randn(2, 4, 5), torch.randn(2, 4, 5)
    conditions = Conditions(conditioning.mask(4, TransitionLayout(2, 3)), clean)
    target = training_target(scheduler, clean, noise, torch.tensor([3, 19]))
    prediction = torch.randn(2, 4, 5, requires_grad=True)
    loss(action_weight=10.0)(prediction, target, conditions.mask, ALL_VALID).loss.backward()
    given = conditions.mask.expand_as(prediction)
    assert (prediction.grad[given] == 0.0).all()
    assert (prediction.grad[~given] != 0.0).all()


def test_given_entries_still_count_in_the_mean_as_in_the_released_code():
    prediction, target = torch.full((2, 4, 5), 3.0), torch.zeros(2, 4, 5)
    given = NOTHING_GIVEN.clone()
    given[:, 0, 2:] = True
    assert loss()(prediction, target, given, ALL_VALID).loss.item() == pytest.approx(9.0 * 17 / 20)


@pytest.mark.parametrize("mask_padding", [False, True])
def test_padded_rows_count_unless_they_are_masked(mask_padding):
    prediction, target = torch.full((2, 4, 5), 3.0, requires_grad=True), torch.zeros(2, 4, 5)
    valid = torch.tensor([[True, True, True, True], [True, False, False, False]])
    terms = loss(mask_padding=mask_padding)(prediction, target, NOTHING_GIVEN, valid)
    terms.loss.backward()
    assert terms.loss.item() == pytest.approx(9.0 * (5 / 8 if mask_padding else 1.0))
    assert bool((prediction.grad[~valid] == 0.0).all()) == mask_padding
    assert (prediction.grad[valid] != 0.0).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"observation_weights": {3: 1.0}}, "names observation column 3, but there are 3"),
        ({"observation_weights": {-1: 1.0}}, "names observation column -1, but there are 3"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        loss(**settings)


def test_the_whole_training_objective_equals_the_released_code_s():
    network = TemporalUnet(14)
    for name, parameter in network.named_parameters():
        size = parameter.numel()
        values = np.random.RandomState(size).standard_normal(size).reshape(parameter.shape)
        if parameter.ndim == 1:
            values = 0.1 * values + name.endswith("normalization.weight")
        else:
            values = values / np.sqrt(size / parameter.shape[0])
        parameter.data.copy_(torch.as_tensor(values))
    size = 2 * 32 * 14
    noise = torch.from_numpy(np.random.RandomState(size + 7).standard_normal(size).astype(np.float32)).reshape(
        2, 32, 14
    )
    clean, timesteps = 0.5 * noise.flip(1), torch.tensor([0, 7])
    scheduler = DDPMScheduler(20, beta_schedule="squaredcos_cap_v2", prediction_type="sample")
    conditions = Conditions(FirstState().mask(32, TransitionLayout(3, 11)), clean)
    with torch.no_grad():
        prediction = network(conditions.apply(scheduler.add_noise(clean, noise, timesteps)), timesteps)
    terms = DenoisingLoss(32, 3, 11, action_weight=10.0)(
        prediction, clean, conditions.mask, torch.ones(2, 32, dtype=torch.bool)
    )
    # The released code's number, printed with six digits.
    assert terms.loss.item() == pytest.approx(0.803697, abs=1e-5)
