"""Where trajectories come from."""

from diffplan.source.base import AbstractSource, DataIdentity, Episode

__all__ = ["AbstractSource", "DataIdentity", "Episode"]
