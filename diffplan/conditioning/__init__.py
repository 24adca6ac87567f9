"""Which parts of a plan are given."""

from diffplan.conditioning.base import AbstractConditioning, Conditions
from diffplan.conditioning.first_state import FirstState
from diffplan.conditioning.start_and_goal import StartAndGoal

__all__ = ["AbstractConditioning", "Conditions", "FirstState", "StartAndGoal"]
