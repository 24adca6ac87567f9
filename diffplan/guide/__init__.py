"""What plans are steered by."""

from diffplan.guide.base import AbstractGuide
from diffplan.guide.no_guide import NoGuide
from diffplan.guide.value_guide import ValueGuide

__all__ = ["AbstractGuide", "NoGuide", "ValueGuide"]
