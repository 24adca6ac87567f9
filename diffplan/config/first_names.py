"""The names that parts had in the first checkpoints; see ``parts``."""

from diffplan.config.parts import with_first_names
from diffplan.config.parts import with_targets as with_present_names

__all__ = ["with_first_names", "with_present_names"]
