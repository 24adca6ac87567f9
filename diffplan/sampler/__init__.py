"""Reverse diffusion."""

from diffplan.sampler.base import AbstractSampler
from diffplan.sampler.unguided_sampler import UnguidedSampler

__all__ = ["AbstractSampler", "UnguidedSampler"]
