"""Denoising networks."""

from diffplan.backbone.base import AbstractBackbone
from diffplan.backbone.temporal_unet import TemporalUnet

__all__ = ["AbstractBackbone", "TemporalUnet"]
