"""Reverse diffusion."""

from diffplan.method.sampler.base import AbstractSampler, StepContext, WarmStart
from diffplan.method.sampler.guided_samplers import (
    DiffusersPipelineSampler,
    MeanShiftSampler,
    SampleShiftSampler,
    UnguidedSampler,
)

__all__ = [
    "AbstractSampler",
    "DiffusersPipelineSampler",
    "MeanShiftSampler",
    "SampleShiftSampler",
    "StepContext",
    "UnguidedSampler",
    "WarmStart",
]
