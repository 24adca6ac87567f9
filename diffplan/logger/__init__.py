"""Where numbers, pictures, videos and tables of a run go."""

from diffplan.logger.base import AbstractRunLogger

__all__ = ["AbstractRunLogger"]
