"""What the house needs to know of a diffusers scheduler; the schedulers themselves are diffusers'."""

from diffplan.scheduler.posterior import Posterior, posterior
from diffplan.scheduler.prediction import check_same_noise, check_same_process, check_scheduler, training_target

__all__ = ["Posterior", "check_same_noise", "check_same_process", "check_scheduler", "posterior", "training_target"]
