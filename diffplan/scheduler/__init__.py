"""What the house needs to know of a diffusers scheduler; the schedulers themselves are diffusers'."""

from diffplan.scheduler.fitness import check_scheduler
from diffplan.scheduler.noise_schedule import NoiseSchedule
from diffplan.scheduler.posterior import Level, Posterior, posterior
from diffplan.scheduler.prediction import check_same_noise, check_same_process, prediction_type, training_target
from diffplan.scheduler.reverse_process import ReverseProcess, ReverseStep

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
