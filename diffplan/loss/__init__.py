"""Training objectives."""

from diffplan.loss.denoising_loss import DenoisingLoss, DenoisingLossTerms

__all__ = ["DenoisingLoss", "DenoisingLossTerms"]
