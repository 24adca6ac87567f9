"""Denoising networks, and the critic's."""

from diffplan.method.network.base import AbstractBackbone
from diffplan.method.network.temporal_unet import TemporalUnet
from diffplan.method.network.value_unet import ValueUnet

__all__ = ["AbstractBackbone", "TemporalUnet", "ValueUnet"]
