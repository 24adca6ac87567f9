"""The forward and reverse process of any diffusers scheduler. The schedulers themselves are those of diffusers."""

from diffplan.method.noise.posterior import Level, Posterior, posterior
from diffplan.method.noise.reverse_process import ReverseProcess, ReverseStep
from diffplan.method.noise.schedule import (
    NoiseSchedule,
    check_same_noise,
    check_same_process,
    prediction_type,
    training_target,
)
from diffplan.method.noise.scheduler_probe import open_process
from diffplan.method.noise.supported_schedulers import SchedulerFacts, check_scheduler, scheduler_facts

__all__ = [
    "Level",
    "NoiseSchedule",
    "Posterior",
    "ReverseProcess",
    "ReverseStep",
    "SchedulerFacts",
    "check_same_noise",
    "check_same_process",
    "check_scheduler",
    "open_process",
    "posterior",
    "prediction_type",
    "scheduler_facts",
    "training_target",
]
