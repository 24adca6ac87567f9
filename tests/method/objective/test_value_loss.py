import numpy as np
import pytest
import torch

from diffplan.method.objective import ValueLoss


def test_the_loss_is_the_mean_error():
    prediction, target = torch.tensor([1.0, 2.0, 5.0]), torch.tensor([1.0, 4.0, 1.0])
    assert ValueLoss("l2")(prediction, target).loss.item() == pytest.approx(20 / 3)
    assert ValueLoss("l1")(prediction, target).loss.item() == pytest.approx(2.0)


def test_the_correlation_is_pearson_s():
    first, second = torch.randn(50), torch.randn(50)
    expected = np.corrcoef(first, first + second)[0, 1]
    assert ValueLoss()(first, first + second).correlation.item() == pytest.approx(expected, abs=1e-5)


def test_constant_predictions_correlate_with_nothing():
    assert ValueLoss()(torch.ones(4), torch.randn(4)).correlation.item() == 0.0


def test_the_gradient_is_that_of_the_squared_error():
    prediction = torch.tensor([1.0, 3.0], requires_grad=True)
    ValueLoss()(prediction, torch.tensor([0.0, 0.0])).loss.backward()
    assert prediction.grad.tolist() == [1.0, 3.0]
