"""Denoising networks, and the critic's."""

from diffplan.backbone.base import AbstractBackbone
from diffplan.backbone.temporal_unet import TemporalUnet
from diffplan.backbone.value_unet import ValueUnet

__all__ = ["AbstractBackbone", "TemporalUnet", "ValueUnet"]
