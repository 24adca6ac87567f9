"""Reverse diffusion."""

from diffplan.method.sampler.base import AbstractSampler, WarmStart
from diffplan.method.sampler.diffusers_pipeline_sampler import DiffusersPipelineSampler
from diffplan.method.sampler.guided_samplers import MeanShiftSampler, SampleShiftSampler, UnguidedSampler

__all__ = [
    "AbstractSampler",
    "DiffusersPipelineSampler",
    "MeanShiftSampler",
    "SampleShiftSampler",
    "UnguidedSampler",
    "WarmStart",
]
