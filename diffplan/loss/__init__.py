"""Training objectives."""

from diffplan.loss.denoising_loss import DenoisingLoss, DenoisingLossTerms
from diffplan.loss.value_loss import ValueLoss, ValueLossTerms

__all__ = ["DenoisingLoss", "DenoisingLossTerms", "ValueLoss", "ValueLossTerms"]
