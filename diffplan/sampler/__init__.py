"""Reverse diffusion."""

from diffplan.sampler.base import AbstractSampler, WarmStart
from diffplan.sampler.diffusers_pipeline_sampler import DiffusersPipelineSampler
from diffplan.sampler.mean_shift_sampler import MeanShiftSampler
from diffplan.sampler.sample_shift_sampler import SampleShiftSampler
from diffplan.sampler.unguided_sampler import UnguidedSampler

__all__ = [
    "AbstractSampler",
    "DiffusersPipelineSampler",
    "MeanShiftSampler",
    "SampleShiftSampler",
    "UnguidedSampler",
    "WarmStart",
]
