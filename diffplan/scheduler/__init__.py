"""What the house needs to know of a diffusers scheduler; the schedulers themselves are diffusers'."""

from diffplan.scheduler.prediction import check_same_process, check_scheduler, training_target

__all__ = ["check_same_process", "check_scheduler", "training_target"]
