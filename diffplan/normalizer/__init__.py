"""Raw units to network units and back."""

from diffplan.normalizer.base import AbstractNormalizer
from diffplan.normalizer.gaussian_normalizer import GaussianNormalizer
from diffplan.normalizer.limits_normalizer import LimitsNormalizer

__all__ = ["AbstractNormalizer", "GaussianNormalizer", "LimitsNormalizer"]
