"""What the house needs to know of a diffusers scheduler; the schedulers themselves are diffusers'."""

from diffplan.method.noise.posterior import Level, Posterior, posterior
from diffplan.method.noise.reverse_process import ReverseProcess, ReverseStep
from diffplan.method.noise.schedule import (
    NoiseSchedule,
    check_same_noise,
    check_same_process,
    prediction_type,
    training_target,
)
from diffplan.method.noise.supported_schedulers import check_scheduler

__all__ = [
    "Level",
    "NoiseSchedule",
    "Posterior",
    "ReverseProcess",
    "ReverseStep",
    "check_same_noise",
    "check_same_process",
    "check_scheduler",
    "posterior",
    "prediction_type",
    "training_target",
]
